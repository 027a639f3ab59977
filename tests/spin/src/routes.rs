//! Which component answers which path. It refuses to know what a request is.

use anyhow::{Result, ensure};

/// The routes of an application.
#[derive(Debug, Default)]
pub struct Routes {
    routes: Vec<Route>,
}

#[derive(Debug)]
struct Route {
    /// As the manifest has it, with the `/` at its beginning and without one at its end.
    path: String,
    segments: Vec<Segment>,
    component: String,
}

/// From the most to the least particular.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Exact(String),
    Named(String),
    Rest,
}

/// The route that a path matches best.
#[derive(Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// Answers it.
    pub component: &'a str,
    /// The route as the manifest has it.
    pub route: &'a str,
    /// What the named segments stand for.
    pub named: Vec<(&'a str, String)>,
    /// What `/...` stands for, with its `/`.
    pub rest: String,
}

impl Routes {
    /// Adds a route. One that is there already goes to the later component.
    pub(crate) fn add(&mut self, path: &str, component: &str) -> Result<()> {
        let absolute = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        let segments = parse(&absolute)?;
        self.routes.retain(|route| route.segments != segments);
        self.routes.push(Route {
            path: absolute,
            segments,
            component: component.to_owned(),
        });
        Ok(())
    }

    /// The routes and their components.
    pub fn list(&self) -> impl Iterator<Item = (&str, &str)> {
        self.routes
            .iter()
            .map(|route| (route.path.as_str(), route.component.as_str()))
    }

    /// The best match of a path. Where two routes match, the one whose first different segment is more particular.
    pub fn find(&self, path: &str) -> Option<Match<'_>> {
        let given: Vec<&str> = path.trim_matches('/').split('/').collect();
        let matching = self.routes.iter().filter(|route| matches(&route.segments, &given));
        let best = matching.min_by_key(|route| route.segments.iter().map(rank).collect::<Vec<_>>())?;
        let named = best
            .segments
            .iter()
            .zip(&given)
            .filter_map(|(segment, given)| match segment {
                Segment::Named(name) => Some((name.as_str(), (*given).to_owned())),
                _ => None,
            });
        Some(Match {
            component: &best.component,
            route: &best.path,
            named: named.collect(),
            rest: rest(&best.segments, &given, path),
        })
    }
}

fn parse(path: &str) -> Result<Vec<Segment>> {
    let trimmed = path.trim_matches('/');
    let mut segments: Vec<Segment> = Vec::new();
    for segment in trimmed.split('/') {
        ensure!(
            segments.last() != Some(&Segment::Rest),
            "{path:?} goes on after its end"
        );
        segments.push(match segment {
            "..." | "*" => Segment::Rest,
            _ => match segment.strip_prefix(':') {
                Some(name) => {
                    ensure!(!name.is_empty(), "{path:?} has a segment without a name");
                    Segment::Named(name.to_owned())
                }
                None => Segment::Exact(segment.to_owned()),
            },
        });
    }
    Ok(segments)
}

fn matches(segments: &[Segment], given: &[&str]) -> bool {
    match (segments, given) {
        ([Segment::Rest], _) | ([], []) => true,
        ([Segment::Exact(exact), segments @ ..], [first, given @ ..]) => exact == first && matches(segments, given),
        ([Segment::Named(_), segments @ ..], [first, given @ ..]) => !first.is_empty() && matches(segments, given),
        _ => false,
    }
}

fn rank(segment: &Segment) -> u8 {
    match segment {
        Segment::Exact(_) => 0,
        Segment::Named(_) => 1,
        Segment::Rest => 2,
    }
}

fn rest(segments: &[Segment], given: &[&str], path: &str) -> String {
    if segments.last() != Some(&Segment::Rest) {
        return String::new();
    }
    let rest = given.get(segments.len() - 1..).unwrap_or_default().join("/");
    let end = if path.ends_with('/') { "/" } else { "" };
    if rest.is_empty() {
        end.to_owned()
    } else {
        format!("/{rest}{end}")
    }
}

#[cfg(test)]
mod tests {
    use super::Routes;

    fn routes(routes: &[(&str, &str)]) -> Routes {
        let mut found = Routes::default();
        for (path, component) in routes {
            found.add(path, component).unwrap();
        }
        found
    }

    #[test]
    fn the_most_particular_route_answers() {
        let routes = routes(&[
            ("/...", "all"),
            ("/v1/login/...", "login"),
            ("/v1/:function/about", "about"),
            ("/v1/login/exact", "exact"),
        ]);
        let component = |path| routes.find(path).map(|found| found.component.to_owned());
        assert_eq!(component("/").as_deref(), Some("all"));
        assert_eq!(component("/v1/login").as_deref(), Some("login"));
        assert_eq!(component("/v1/login/login").as_deref(), Some("login"));
        assert_eq!(component("/v1/login/exact").as_deref(), Some("exact"));
        assert_eq!(component("/v1/login/exact/").as_deref(), Some("exact"));
        assert_eq!(component("/v1/login/about").as_deref(), Some("login"));
        assert_eq!(component("/v1/send/about").as_deref(), Some("about"));
        assert_eq!(component("/v2").as_deref(), Some("all"));
    }

    #[test]
    fn a_path_without_a_route_has_no_component() {
        let routes = routes(&[("/v1/login/...", "login"), ("/:only", "one")]);
        assert!(routes.find("/v1/send").is_none());
        assert!(routes.find("/").is_none());
        assert!(routes.find("/v1/logins/x").is_none());
    }

    #[test]
    fn a_match_tells_what_stands_for_what() {
        let routes = routes(&[("/users/:id/...", "users")]);
        let found = routes.find("/users/7/a/b/").unwrap();
        assert_eq!(found.named, [("id", "7".to_owned())]);
        assert_eq!(found.rest, "/a/b/");
        assert_eq!(found.route, "/users/:id/...");
        assert_eq!(routes.find("/users/7").unwrap().rest, "");
    }

    #[test]
    fn a_route_that_goes_on_after_its_end_is_refused() {
        assert!(Routes::default().add("/a/.../b", "x").is_err());
        assert!(Routes::default().add("/a/:/b", "x").is_err());
    }
}
