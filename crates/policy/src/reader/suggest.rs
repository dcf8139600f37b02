//! "Did you mean".

/// Longer words are not compared: no name of ours is longer, and the comparison takes the square of the length.
const LONGEST: usize = 48;

/// The candidate that the word most likely stands for, if any is near enough. Case and `_` for `-` count as nothing.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = folded(word)?;
    let mut nearest: Option<(usize, &str)> = None;
    for candidate in candidates {
        let Some(other) = folded(candidate) else { continue };
        // A third of the letters may be wrong, and of a short word one.
        let most = (word.len().max(other.len()) / 3).max(1);
        let most = nearest.map_or(most, |(distance, _)| most.min(distance - 1));
        if at_least(&word, &other) > most {
            continue;
        }
        let distance = distance(&word, &other);
        if distance <= most && distance < other.len() {
            nearest = Some((distance, candidate));
            // Nothing is nearer than the word itself, in another case.
            if distance == 0 {
                break;
            }
        }
    }
    nearest.map(|(_, candidate)| candidate)
}

/// The distance is never less than this, which is found in no time: among ten thousand names, few are worth a closer look.
fn at_least(a: &[char], b: &[char]) -> usize {
    let mut letters = [0i32; 64];
    a.iter().for_each(|c| letters[*c as usize % 64] += 1);
    b.iter().for_each(|c| letters[*c as usize % 64] -= 1);
    let (more, less) = letters.iter().fold((0, 0), |(more, less), n| (more + n.max(&0), less - n.min(&0)));
    more.max(less).unsigned_abs() as usize
}

fn folded(word: &str) -> Option<Vec<char>> {
    let folded: Vec<char> =
        word.chars().take(LONGEST + 1).map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect();
    (!folded.is_empty() && folded.len() <= LONGEST).then_some(folded)
}

/// How many letters must be put in, taken out, replaced or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = last[j] + usize::from(a[i] != b[j]);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        let names = ["lifetime", "limit", "methods", "by", "asked", "max_age"];
        for (word, expected) in [
            ("lifetme", Some("lifetime")),
            ("liftiem", Some("lifetime")),
            ("Limit", Some("limit")),
            ("method", Some("methods")),
            ("max-age", Some("max_age")),
            ("yb", Some("by")),
            ("x", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(word, names), expected, "{word}");
        }
        assert_eq!(did_you_mean(&"x".repeat(1 << 20), names), None);
        assert_eq!(did_you_mean("x", []), None);
        assert_eq!(did_you_mean("a", ["b"]), None);
    }
}
