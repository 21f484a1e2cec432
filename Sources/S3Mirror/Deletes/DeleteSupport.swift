import Synchronization

/// What a bucket's server was found to make of DeleteObjects: some do not have it, and are sent single deletes from then on.
final class DeleteSupport: Sendable {
  private let isRefused = Atomic<Bool>(false)

  /// Whether many keys go in one request.
  var takesMany: Bool { !isRefused.load(ordering: .relaxed) }

  func noteRefusal() { isRefused.store(true, ordering: .relaxed) }
}
