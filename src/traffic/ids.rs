//! Ids with the look of Customer.io's.

use super::random::Random;

/// A ULID of this time: 48 bits of milliseconds, 80 random bits, in Crockford's base 32.
pub fn ulid(at_ms: i64, random: &mut Random) -> String {
    const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let low = (u128::from(random.next()) << 64 | u128::from(random.next())) & ((1 << 80) - 1);
    let value = (at_ms.max(0) as u128) << 80 | low;
    (0..26).rev().map(|digit| DIGITS[(value >> (5 * digit)) as usize & 31] as char).collect()
}

/// A delivery id: a short header, the time of creation in milliseconds, and random bytes, in base64url. The newer
/// form begins with `dg`; the older with `R`, and is padded.
pub fn delivery_id(created_at_ms: i64, channel_byte: u8, random: &mut Random) -> String {
    let time = created_at_ms.to_be_bytes();
    let noise = random.next().to_be_bytes();
    let mut bytes = Vec::with_capacity(28);
    if random.chance(0.8) {
        bytes.extend_from_slice(&[0x76, 0x04, 0xBF, 0xBA, 0x07, 0x02]);
    } else {
        bytes.extend_from_slice(&[0x44, 0xF2, 0x0B, 0x02, channel_byte]);
    }
    bytes.extend_from_slice(&time[2..]);
    bytes.extend_from_slice(&noise);
    base64url(&bytes)
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            if digit <= group.len() {
                text.push(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63] as char);
            } else {
                text.push('=');
            }
        }
    }
    text
}

/// A push token: 64 hex digits from Apple, a long colon-parted one from Google.
pub fn device_token(is_ios: bool, random: &mut Random) -> String {
    if is_ios {
        (0..4).map(|_| format!("{:016x}", random.next())).collect()
    } else {
        let mut part = || base64url(&random.next().to_be_bytes()).replace('=', "");
        format!("{}{}:APA91b{}{}{}", part(), part(), part(), part(), part())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::random::Purpose;

    #[test]
    fn ulid_begins_with_its_time() {
        // the time of Customer.io's own example, 01H8F21G9KK14JKX233RDFJCNM
        let id = ulid(1_692_722_577_715, &mut Random::of(1, Purpose::Message, 1));
        assert_eq!(id.len(), 26);
        assert_eq!(&id[..10], "01H8F21G9K");
    }

    #[test]
    fn base64url_pads_and_uses_the_safe_letters() {
        for (bytes, text) in
            [(&b"f"[..], "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foob", "Zm9vYg=="), (&[0xFB, 0xFF], "-_8=")]
        {
            assert_eq!(base64url(bytes), text);
        }
    }

    #[test]
    fn delivery_ids_have_the_known_beginnings() {
        let mut random = Random::of(1, Purpose::Message, 1);
        let ids: Vec<String> = (0..200).map(|_| delivery_id(1_700_000_000_000, 0, &mut random)).collect();
        assert!(ids.iter().all(|id| id.starts_with("dgS_ugcC") || id.starts_with("RPILAg")), "{:?}", &ids[..4]);
        assert!(ids.iter().any(|id| id.ends_with('=')));
        assert!(ids.iter().all(|id| (28..=36).contains(&id.len())));
    }
}
