//! The store in an ERPNext site.
