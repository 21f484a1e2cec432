import Synchronization

/// Whether a bucket's server supports DeleteObjects. A server that refused it gets single deletes from then
/// on.
final class DeleteSupport: Sendable {
  private let isRefused = Atomic<Bool>(false)

  /// Whether one request may delete many keys.
  var takesMany: Bool { !isRefused.load(ordering: .relaxed) }

  func noteRefusal() { isRefused.store(true, ordering: .relaxed) }
}
