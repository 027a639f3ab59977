//! Values as the cache keeps them: bytes, part after part.

/// What can be kept in the cache.
pub trait Cached: Sized {
    /// Appends the bytes of the value.
    fn write(&self, bytes: &mut Vec<u8>);
    /// Takes the value from the front of the bytes; none when it is not there.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

pub(super) fn encode<T: Cached>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.write(&mut bytes);
    bytes
}

/// None also where bytes are left over.
pub(super) fn decode<T: Cached>(mut bytes: &[u8]) -> Option<T> {
    let value = T::read(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

/// Integers, big end first.
macro_rules! cached_integer {
    ($($integer:ty),*) => {
        $(impl Cached for $integer {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_be_bytes());
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                let (first, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(Self::from_be_bytes(*first))
            }
        })*
    };
}
cached_integer!(u8, u32, u64);

impl Cached for String {
    fn write(&self, bytes: &mut Vec<u8>) {
        u32::try_from(self.len()).unwrap_or(u32::MAX).write(bytes);
        bytes.extend(self.as_bytes());
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u32::read(bytes)?).ok()?;
        let (text, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }
}

impl<T: Cached> Cached for Vec<T> {
    fn write(&self, bytes: &mut Vec<u8>) {
        u32::try_from(self.len()).unwrap_or(u32::MAX).write(bytes);
        for each in self {
            each.write(bytes);
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = u32::read(bytes)?;
        (0..length).map(|_| T::read(bytes)).collect()
    }
}

/// Tuples, part after part.
macro_rules! cached_tuple {
    ($($part:ident $index:tt),*) => {
        impl<$($part: Cached),*> Cached for ($($part,)*) {
            fn write(&self, bytes: &mut Vec<u8>) {
                $(self.$index.write(bytes);)*
            }

            fn read(bytes: &mut &[u8]) -> Option<Self> {
                Some(($($part::read(bytes)?,)*))
            }
        }
    };
}
cached_tuple!(A 0, B 1);
cached_tuple!(A 0, B 1, C 2);
cached_tuple!(A 0, B 1, C 2, D 3, E 4);
