//! JSONPath (RFC 9535), parsed once.

use std::collections::HashSet;

use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value as Json;

use super::unquoted::unquoted;

/// A longer query is refused: it could only be a mistake, or an attack on the parser.
const LONGEST: usize = 1024;

/// So deep may brackets stand in one another: the parser tries its rules again at each, which takes five times as long a level.
const DEEPEST: usize = 8;

/// A JSONPath query, parsed when a policy is loaded.
#[derive(Clone, Debug)]
pub struct JsonPath {
    /// Names and indexes alone, where the query names one place at most: walked without any bookkeeping.
    steps: Option<Box<[Step]>>,
    query: JpQuery,
}

#[derive(Clone, Debug)]
enum Step {
    Name(Box<str>),
    Index(i64),
}

/// One step of the way to a place in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Into an object.
    Name(String),
    /// Into an array.
    Index(usize),
}

impl JsonPath {
    /// Parses a query, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<JsonPath, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} characters"));
        }
        if !text.starts_with('$') {
            return Err(String::from("it does not begin with `$`"));
        }
        if depth(text) > DEEPEST {
            return Err(format!("its brackets stand more than {DEEPEST} deep in one another"));
        }
        let query = parse_json_path(text).map_err(|error| plain(&error.to_string()))?;
        Ok(JsonPath { steps: single(&query), query })
    }

    /// Whether it names one place at most: a value is then its result, otherwise a list.
    pub fn is_single(&self) -> bool {
        self.steps.is_some()
    }

    /// What it finds, in the order of the document.
    pub fn find<'a>(&self, json: &'a Json) -> Vec<&'a Json> {
        match &self.steps {
            Some(steps) => walk(steps, json).into_iter().collect(),
            // An error here is a query that gives no places at all, such as a function: nothing is found.
            None => js_path_process(&self.query, json)
                .map(|found| found.into_iter().map(|f| f.val()).collect())
                .unwrap_or_default(),
        }
    }

    /// Where what it finds stands, in the order of the document.
    pub fn places(&self, json: &Json) -> Vec<Vec<Token>> {
        // A value is known again by where it lies in memory: nothing moves meanwhile.
        let found: HashSet<*const Json> = self.find(json).into_iter().map(std::ptr::from_ref).collect();
        let (mut places, mut way) = (Vec::new(), Vec::new());
        if !found.is_empty() {
            collect(json, &found, &mut way, &mut places);
        }
        places
    }

    /// The way that it names, where that is names alone: what is not there yet can be made along it.
    pub fn names(&self) -> Option<Vec<&str>> {
        let steps = self.steps.as_ref()?.iter();
        steps.map(|step| if let Step::Name(name) = step { Some(&**name) } else { None }).collect()
    }

    /// The first value that it finds.
    pub fn first<'a>(&self, json: &'a Json) -> Option<&'a Json> {
        match &self.steps {
            Some(steps) => walk(steps, json),
            None => self.find(json).first().copied(),
        }
    }
}

/// The places of these values below here.
fn collect(json: &Json, found: &HashSet<*const Json>, way: &mut Vec<Token>, places: &mut Vec<Vec<Token>>) {
    if found.contains(&std::ptr::from_ref(json)) {
        places.push(way.clone());
    }
    let mut go = |token: Token, value: &Json| {
        way.push(token);
        collect(value, found, way, places);
        way.pop();
    };
    match json {
        Json::Object(members) => members.iter().for_each(|(name, value)| go(Token::Name(name.clone()), value)),
        Json::Array(items) => items.iter().enumerate().for_each(|(index, value)| go(Token::Index(index), value)),
        _ => {}
    }
}

/// How deep brackets stand in one another, those in quotes left out.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for (_, c) in unquoted(text) {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn single(query: &JpQuery) -> Option<Box<[Step]>> {
    let step = |segment: &Segment| match segment {
        Segment::Selector(Selector::Name(name)) => Some(Step::Name(name.as_str().into())),
        Segment::Selector(Selector::Index(index)) => Some(Step::Index(*index)),
        _ => None,
    };
    query.segments.iter().map(step).collect()
}

fn walk<'a>(steps: &[Step], json: &'a Json) -> Option<&'a Json> {
    steps.iter().try_fold(json, |at, step| match (step, at) {
        (Step::Name(name), Json::Object(map)) => map.get(&**name),
        (Step::Index(index), Json::Array(items)) => {
            let index = if *index < 0 { items.len() as i64 + index } else { *index };
            usize::try_from(index).ok().and_then(|index| items.get(index))
        }
        _ => None,
    })
}

/// The parser draws the query, with the place (`--> 1:7`) and the names of its rules: only the place says something to others.
fn plain(error: &str) -> String {
    let place = error.lines().find_map(|line| line.split_once("--> "));
    match place.and_then(|(_, place)| place.trim().rsplit_once(':')) {
        Some((_, column)) => format!("it is not understood from character {column} on"),
        None => String::from("it is not understood"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let json = serde_json::json!({ "a": { "b": [1, 2, { "c": "x" }], "d e": true, "it's": 4 }, "n": null });
        for (text, is_single, expected) in [
            ("$", true, "[{\"a\":{\"b\":[1,2,{\"c\":\"x\"}],\"d e\":true,\"it's\":4},\"n\":null}]"),
            ("$.a.b[0]", true, "[1]"),
            ("$.a.b[-1].c", true, "[\"x\"]"),
            ("$.a.b[9]", true, "[]"),
            ("$.a.b[-9]", true, "[]"),
            ("$['a']['d e']", true, "[true]"),
            ("$[\"a\"][\"it's\"]", true, "[4]"),
            ("$['a']['it\\'s']", true, "[4]"),
            ("$[\"'a'\"]", true, "[]"),
            ("$.a.x", true, "[]"),
            ("$.a[0]", true, "[]"),
            ("$.n", true, "[null]"),
            ("$.a.b[0,1]", false, "[1,2]"),
            ("$.a.b[*]", false, "[1,2,{\"c\":\"x\"}]"),
            ("$..c", false, "[\"x\"]"),
            ("$.a.b[?@.c == 'x'].c", false, "[\"x\"]"),
            ("$.a.b[?((((((@.c == ']]]'))) || (@.c == '\\')))'))))]", false, "[]"),
            ("$.a.b[1:]", false, "[2,{\"c\":\"x\"}]"),
        ] {
            let path = JsonPath::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let found: Vec<_> = path.find(&json).into_iter().cloned().collect();
            assert_eq!((path.is_single(), Json::Array(found).to_string()), (is_single, expected.to_owned()), "{text}");
            assert_eq!(path.first(&json), path.find(&json).first().copied(), "{text}");
        }
    }

    #[test]
    fn places() {
        let json = serde_json::json!({ "a": { "b": [1, { "c": 2 }] }, "c": 3 });
        let shown = |path: &str| {
            let places = JsonPath::parse(path).expect(path).places(&json);
            let token = |token: &Token| match token {
                Token::Name(name) => name.clone(),
                Token::Index(index) => index.to_string(),
            };
            places.iter().map(|way| way.iter().map(token).collect::<Vec<_>>().join("/")).collect::<Vec<_>>()
        };
        assert_eq!(shown("$"), [""]);
        assert_eq!(shown("$.a.b[-1]"), ["a/b/1"]);
        assert_eq!(shown("$..c"), ["a/b/1/c", "c"]);
        assert_eq!(shown("$.a.b[*]"), ["a/b/0", "a/b/1"]);
        assert_eq!(shown("$.x"), Vec::<String>::new());
        assert_eq!(JsonPath::parse("$.a['b c']").expect("a path").names(), Some(vec!["a", "b c"]));
        assert_eq!(JsonPath::parse("$.a[0]").expect("a path").names(), None);
    }

    #[test]
    fn what_is_no_query() {
        for text in ["", "a", "$.", "$[", "$.a[?", "$ü", "$['a"] {
            let error = JsonPath::parse(text).expect_err(text);
            assert!(!error.is_empty() && !error.contains('\n'), "{text}: {error}");
        }
        for text in [
            format!("${}", ".a".repeat(1 << 19)),
            format!("$[?{}", "(".repeat(1000)),
            format!("${}", "[?@".repeat(300)),
            // Half an hour of the parser's time.
            format!("${}", "[?match(@".repeat(14)),
        ] {
            assert!(JsonPath::parse(&text).is_err());
        }
    }
}
