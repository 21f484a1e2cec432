import Testing

// A comment is what the testing library prints beside a failure.
extension Trait where Self == Comment {
  /// The promises that a test shows, by their IDs on the page Semantics. A failed test prints them.
  ///
  /// `Scripts/check-promises` reads them from the source: each promise has a test, and each ID stands on the page.
  package static func promise(_ identifiers: String...) -> Comment {
    Comment(rawValue: "shows " + identifiers.joined(separator: ", "))
  }
}
