//! `preprocessor(event)`, in sources and in components: what it makes are the arguments, what it refuses never reaches `main`.
