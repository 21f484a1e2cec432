/// What a pass learned of the service.
package enum ServiceState: Sendable, Hashable {
  /// Nothing was asked, or the answers concern single paths.
  case unknown
  /// Something was published or deleted.
  case answering
  /// Nothing was, and requests failed for reasons that would fail any other.
  case unreachable
}
