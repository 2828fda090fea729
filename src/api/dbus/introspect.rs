//! What `busctl introspect` and `busctl tree` are told.

use std::fmt::Write as _;

use super::properties::{PROPERTIES, Told};

/// The interface of the manager.
pub(super) const MANAGER: &str = include_str!("xml/org.provost.Provost1.Manager.xml");
/// The interface of the privileged helper, on the system bus.
pub(super) const HELPER: &str = include_str!("xml/org.provost.Provost1.Helper.xml");
const STANDARD: &str = include_str!("xml/standard.xml");
const DOCTYPE: &str = "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n\
    \x20\"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n";

/// An object with these interfaces (their XML) and these children.
pub(super) fn object(interfaces: &str, children: &[String]) -> String {
    let mut xml = format!("{DOCTYPE}<node>\n{STANDARD}{interfaces}");
    for child in children {
        let _ = writeln!(xml, " <node name=\"{child}\"/>");
    }
    xml.push_str("</node>\n");
    xml
}

/// The interface of a service.
pub(super) fn service() -> String {
    let mut xml = String::from(" <interface name=\"org.provost.Provost1.Service\">\n");
    let methods: [(&str, &[(&str, &str)]); 5] = [
        ("Start", &[]),
        ("Stop", &[("b", "force")]),
        ("Restart", &[]),
        ("Reload", &[]),
        ("Kill", &[("s", "whom"), ("i", "signal")]),
    ];
    for (name, arguments) in methods {
        let _ = writeln!(xml, "  <method name=\"{name}\">");
        for (kind, argument) in arguments {
            let _ = writeln!(xml, "   <arg type=\"{kind}\" name=\"{argument}\" direction=\"in\"/>");
        }
        let _ = writeln!(xml, "   <arg type=\"b\" name=\"done\" direction=\"out\"/>\n  </method>");
    }
    xml.push_str("  <signal name=\"StateChanged\">\n   <arg type=\"s\" name=\"from\"/>\n");
    xml.push_str("   <arg type=\"s\" name=\"to\"/>\n  </signal>\n");
    for (name, _, kind, told) in PROPERTIES {
        let signature = kind.signature();
        let told = match told {
            Told::Yes => "true",
            Told::Const => "const",
            Told::No => "false",
        };
        let _ = writeln!(xml, "  <property name=\"{name}\" type=\"{signature}\" access=\"read\">");
        let annotation = "org.freedesktop.DBus.Property.EmitsChangedSignal";
        let _ = writeln!(xml, "   <annotation name=\"{annotation}\" value=\"{told}\"/>\n  </property>");
    }
    xml.push_str(" </interface>\n");
    xml
}
