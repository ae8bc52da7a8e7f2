#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BounceClass { Hard, Soft, Policy, Unknown }
pub fn classify(reason: Option<&str>) -> BounceClass { match reason { Some(r) if r.contains("5.1.1") || r.contains("Unregistered") => BounceClass::Hard, _ => BounceClass::Unknown } }
