//! What the variables that name servers must look like. What Spin cannot do with an address, or passes over in silence,
//! is said here, with the name of the variable and without its value: a URL may hold a password.

/// The variable that says where the database is: `mysql://user:password@host:port/database`.
pub(crate) const MYSQL: &str = "mysql_url";
/// What the URL of the database must say as well: an UPDATE counts the rows that it finds, and no file of a socket is
/// looked for.
const MYSQL_OPTIONS: [(&str, &str); 3] = [
    ("client_found_rows", "true"),
    ("prefer_socket", "false"),
    ("stmt_cache_size", "16"),
];
/// What other clients take for TLS, and Spin does not: it would connect without.
const MYSQL_TLS_OF_OTHERS: [&str; 4] = ["require_ssl", "verify_ca", "verify_identity", "built_in_roots"];

/// The URL of the database as Spin takes it, or what is wrong with the variable.
pub(crate) fn mysql(mut url: String) -> Result<String, String> {
    scheme(&url, MYSQL, &["mysql"])?;
    let passed_over = options(&url)
        .find(|(name, value)| MYSQL_TLS_OF_OTHERS.contains(name) && (*name, *value) != ("require_ssl", "false"));
    if let Some((name, _)) = passed_over {
        return Err(format!(
            "the variable `{MYSQL}` says `{name}`, which Spin passes over: write `ssl-mode=required` for TLS"
        ));
    }
    for (name, value) in MYSQL_OPTIONS {
        if !options(&url).any(|(said, _)| said == name) {
            let joint = if url.contains('?') { '&' } else { '?' };
            url.push_str(&format!("{joint}{name}={value}"));
        }
    }
    Ok(url)
}

/// Checks the URL of a server of Redis that a variable has. The scheme is `redis`, or `rediss` for TLS.
pub(crate) fn redis(url: &str, variable: &str) -> Result<(), String> {
    scheme(url, variable, &["redis", "rediss"])
}

/// What is said when Spin does not let a component connect.
pub(crate) fn not_permitted(variable: &str, scheme: &str) -> String {
    format!(
        "the variable `{variable}` has no address that may be reached: `allowed_outbound_hosts` in spin.toml must have \
         `{scheme}://HOST:PORT` for it"
    )
}

/// The scheme of a URL.
pub(crate) fn scheme_of(url: &str) -> &str {
    url.split_once("://").map_or("", |(scheme, _)| scheme)
}

fn scheme(url: &str, variable: &str, known: &[&str]) -> Result<(), String> {
    let scheme = scheme_of(url);
    if known.contains(&scheme) {
        return Ok(());
    }
    let known: Vec<String> = known.iter().map(|scheme| format!("`{scheme}://`")).collect();
    let known = known.join(" or ");
    // What stands there instead is named where it can be no part of a password.
    let is_word = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == b'+');
    let instead = match is_word {
        true => format!(", not with `{scheme}://`"),
        false => String::new(),
    };
    Err(format!("the variable `{variable}` must begin with {known}{instead}"))
}

/// What a URL says after its question mark.
fn options(url: &str) -> impl Iterator<Item = (&str, &str)> {
    let said = url.split_once('?').map_or("", |(_, said)| said);
    said.split('&')
        .map(|option| option.split_once('=').unwrap_or((option, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_of_the_database_leaves_out_is_added() {
        let full = mysql("mysql://u:p@h:1/d".to_owned());
        let added = "client_found_rows=true&prefer_socket=false&stmt_cache_size=16";
        assert_eq!(full.as_deref(), Ok(format!("mysql://u:p@h:1/d?{added}").as_str()));
        let said = mysql("mysql://h/d?stmt_cache_size=2&ssl-mode=required".to_owned()).unwrap();
        assert_eq!(
            said,
            "mysql://h/d?stmt_cache_size=2&ssl-mode=required&client_found_rows=true&prefer_socket=false"
        );
    }

    #[test]
    fn tls_that_spin_would_leave_out_is_refused_by_name() {
        for option in [
            "require_ssl=true",
            "verify_ca=false",
            "verify_identity=true",
            "built_in_roots=true",
        ] {
            let refused = mysql(format!("mysql://u:secret@h/d?{option}")).unwrap_err();
            let (name, _) = option.split_once('=').unwrap();
            assert!(refused.contains("`mysql_url`") && refused.contains(name), "{refused}");
            assert!(
                refused.contains("ssl-mode=required") && !refused.contains("secret"),
                "{refused}"
            );
        }
        assert!(mysql("mysql://h/d?require_ssl=false".to_owned()).is_ok());
    }

    #[test]
    fn a_scheme_that_nobody_understands_is_named_with_its_variable_and_without_the_password() {
        assert_eq!(
            mysql("mariadb://u:secret@h/d".to_owned()),
            Err("the variable `mysql_url` must begin with `mysql://`, not with `mariadb://`".to_owned())
        );
        assert_eq!(redis("redis://h", "redis_cache_url"), Ok(()));
        assert_eq!(redis("rediss://u:secret@h:6380/1", "redis_cache_url"), Ok(()));
        for url in [
            "redis+unix:///run/redis",
            "valkey://:secret@h",
            "u:secret@h://",
            "secret",
            "",
        ] {
            let refused = redis(url, "redis_cache_url").unwrap_err();
            let begin = "the variable `redis_cache_url` must begin with `redis://` or `rediss://`";
            assert!(refused.starts_with(begin) && !refused.contains("secret"), "{refused}");
        }
    }
}
