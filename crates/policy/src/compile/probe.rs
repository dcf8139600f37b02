//! A selector that belongs to no filter: what a test reads at the end of a run.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::shared::Shared;
use crate::diagnostic::{Diagnostics, Place, Problem, SourceFile, codes};
use crate::engine::Program;
use crate::filter::{BuildContext, Effects, Keeper};
use crate::ports::Resources;
use crate::reader::{NoOutside, did_you_mean};
use crate::selector::{Dynamic, Getter, ParsedConditions, compile};
use crate::settings::{Literal, Spanned};
use crate::value::Value;

impl Program {
    /// Compiles `token.scopes`, written without `${` and `}`. What no filter of the program sets is absent.
    pub(crate) fn probe(
        &self,
        file: &Arc<SourceFile>,
        selector: &Spanned<String>,
    ) -> Result<Getter<Value>, Diagnostics> {
        let place = Place { file: file.clone(), span: selector.span };
        if selector.value.contains(['{', '}']) {
            let message = format!("`{}` is no name of an attribute", selector.value);
            let help = "a selector without `${` and `}`: \"token.scopes\"";
            return Err(Problem::error(codes::SELECTOR, message).with_help(help).at(place).into());
        }
        let nothing = BTreeMap::new();
        let shared = Shared {
            library: self.library,
            resources: &NoResources,
            keeper: &Keeper::default(),
            outside: &NoOutside,
            node: &self.node,
            documents: &nothing,
            settings: Mutex::default(),
            conditions: ParsedConditions::default(),
        };
        // Whatever gets a new slot here is beyond those of an exchange, and so absent.
        let mut layout = self.layout.clone();
        let mut cx = BuildContext {
            shared: &shared,
            layout: &mut layout,
            place,
            id: String::new(),
            stands_first: false,
            effects: Effects::default(),
            look_ups: Vec::new(),
            inputs: &BTreeMap::new(),
            repeated_refused: false,
        };
        if selector.value.contains("??") {
            let help = "name the attribute alone; where it may be absent, expect `{ absent = true }`";
            return Err(cx.error(selector.span, "an expectation takes no `??`", help).into());
        }
        let literal = Literal::Text(format!("${{{} ??}}", selector.value));
        let getter = compile(&Dynamic::new(Spanned::new(selector.span, literal)), &mut cx)?;
        // A variable that no file sets is misspelt, and would be absent whatever the policies do.
        let unset = cx.effects.reads.iter().map(|read| read.attribute.clone());
        let mut unset = unset.filter(|name| name.starts_with("vars.") && !self.layout.has(name));
        if let Some(name) = unset.next() {
            let help = match did_you_mean(&name, self.layout.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => String::from("a test that looks for it cannot fail: leave it out, or set it in a policy"),
            };
            return Err(cx.error(selector.span, format!("no policy sets `{name}`"), help).into());
        }
        if cx.effects.reads.iter().any(|read| read.attribute == "response") {
            let help = "`status`, `headers`, `json` and `text` of `expect` are the answer's";
            return Err(cx.error(selector.span, "the response is gone at the end of the run", help).into());
        }
        Ok(getter)
    }
}

struct NoResources;

impl Resources for NoResources {
    fn get(&self, kind: &str, name: &str) -> Result<Arc<dyn Any + Send + Sync>, Problem> {
        Err(Problem::error(codes::BAD_VALUE, format!("{kind} `{name}` cannot be read here")))
    }
}
