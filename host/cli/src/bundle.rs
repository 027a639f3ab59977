//! The application that is part of this binary, where the build was given one.

include!(concat!(env!("OUT_DIR"), "/bundle.rs"));
