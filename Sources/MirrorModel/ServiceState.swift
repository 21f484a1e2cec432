/// What a pass learned about the service.
package enum ServiceState: Sendable, Hashable {
  /// No request was sent, or every answer concerned a single path.
  case unknown
  /// Something was published or deleted.
  case answering
  /// Nothing was published or deleted, and requests failed for reasons that affect every path.
  case unreachable
}
