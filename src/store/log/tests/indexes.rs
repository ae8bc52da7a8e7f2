//! What indexes tell of deliveries, where their rows are not read.

use super::*;

/// A delivery as its columns say: outcome, engagement, source, channel, whether it has a reason.
type Standing = (Option<Metric>, Option<Metric>, String, String, bool);

#[test]
fn what_indexes_tell_of_a_delivery_is_what_its_row_says() {
    let (_dir, connection) = file();
    let mut statement = connection
        .prepare(
            "SELECT d.delivery_id, coalesce(d.outcome, 0), coalesce(d.engagement, 0),
                s.source_kind || ':' || coalesce(s.source_id, ''), coalesce(c.channel, 'unknown'),
                d.failure_reason IS NOT NULL
            FROM deliveries_read d JOIN sources s ON s.id = d.source JOIN messages g ON g.id = d.message
            JOIN channels c ON c.id = g.channel",
        )
        .unwrap();
    let all: Vec<(String, Standing)> = statement
        .query_map([], |row| {
            let metric = |place| Ok::<_, rusqlite::Error>(Metric::from_code(row.get(place)?));
            Ok((row.get(0)?, (metric(1)?, metric(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let bounced = Some(Metric::Bounced);
    let (mut asked, mut found_any) = (0, 0);
    for outcomes in [vec![], vec![bounced], vec![Some(Metric::Delivered)], vec![None], vec![bounced, None]] {
        for engagements in [vec![], vec![Some(Metric::Clicked)], vec![None], vec![None, Some(Metric::Opened)]] {
            for source in ["", "campaign:1", "newsletter:"] {
                for channels in [vec![], vec!["push"], vec!["sms", "pager", "unknown"]] {
                    for has_reason in [false, true] {
                        let of = source.split_once(':');
                        let filter = Filter {
                            outcomes: outcomes.clone(),
                            engagements: engagements.clone(),
                            channels: channels.iter().map(|name| (*name).to_owned()).collect(),
                            source: of.map(|(kind, id)| SourceRef { kind: kind.into(), id: id.into() }),
                            reason: has_reason.then_some(Reason::Any),
                            ..Filter::default()
                        };
                        let wanted = |(outcome, engagement, of, channel, reason): &Standing| {
                            (outcomes.is_empty() || outcomes.contains(outcome))
                                && (engagements.is_empty() || engagements.contains(engagement))
                                && of.starts_with(source)
                                && (channels.is_empty() || channels.contains(&channel.as_str()))
                                && (*reason || !has_reason)
                        };
                        let mut wanted: Vec<&str> =
                            all.iter().filter(|(_, standing)| wanted(standing)).map(|(id, _)| id.as_str()).collect();
                        wanted.sort_unstable();
                        let mut found = Vec::new();
                        each(&connection, &filter, |cursor| {
                            found.push(row(&connection, cursor.id)?.delivery_id);
                            Ok(ControlFlow::Continue(()))
                        })
                        .unwrap();
                        found.sort_unstable();
                        assert_eq!(found, wanted, "{filter:?}");
                        let listing = listing(&connection, &filter, At::Newest, 50).unwrap();
                        assert_eq!(listing.total, Total::Exactly(wanted.len() as i64), "{filter:?}");
                        assert_eq!(listing.page.rows.len(), wanted.len().min(50));
                        (asked, found_any) = (asked + 1, found_any + usize::from(!wanted.is_empty()));
                    }
                }
            }
        }
    }
    assert!(found_any > asked / 2, "{found_any} of {asked}");
}
