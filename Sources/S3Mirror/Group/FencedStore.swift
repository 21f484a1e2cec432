import HTTPTransport
import S3Client

/// Lets changes of objects pass only while the member's claim allows them.
///
/// It is placed below the retries, so that each repetition needs the claim too. Reads, and parts of multipart
/// uploads, change no object and pass always.
struct FencedStore: ObjectStore {
  private let base: any ObjectStore
  private let fence: any Fence

  init(_ base: any ObjectStore, behind fence: any Fence) {
    self.base = base
    self.fence = fence
  }

  var bucket: String { base.bucket }
  var executors: [any TaskExecutor] { base.executors }
  var signsBodies: Bool { base.signsBodies }
  var takesTrailers: Bool { base.takesTrailers }

  private static let changes: Set = [
    PutObject.name, CompleteMultipartUpload.name, CopyObject.name, DeleteObject.name, DeleteObjects.name,
  ]

  func send<Operation: S3Operation>(_ operation: Operation) async throws -> Operation.Output {
    guard Self.changes.contains(Operation.name) else { return try await base.send(operation) }
    try await fence.permit()
    do {
      return try await base.send(operation)
    } catch let error as S3Error {
      if error.isUnanswered { fence.noteDoubt() }
      throw error
    } catch {
      // A cancelled request may have been sent.
      fence.noteDoubt()
      throw error
    }
  }
}

/// The right to change objects.
protocol Fence: Sendable {
  /// Returns when a change may begin.
  ///
  /// - Throws: an error that says why no change may begin; `CancellationError`.
  func permit() async throws

  /// Notes that the answer to a change is missing, so the change may still arrive.
  func noteDoubt()
}

extension S3Error {
  /// Whether the request was sent, as far as is known, and nothing shows what became of it.
  fileprivate var isUnanswered: Bool {
    switch network {
    case nil: status == 0 && code != S3ErrorTriage.noCredentials || [500, 502, 504].contains(status)
    case .connect?, .tls?, .invalid?, .closed?: false
    case .staleConnection?, .interrupted?, .timeout?, .truncated?, .garbled?: true
    }
  }
}
