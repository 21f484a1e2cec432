import Digests
import MirrorModel
import S3Client

/// The progress of one multipart upload, as a value: events go in, the next step comes out. It does no I/O,
/// so a test can produce every race by the order of its calls. `MultipartUpload` carries the steps out.
///
/// An upload that fails because of the network or the end of the run stays on S3, and the next attempt
/// resumes it from its parts. An upload whose file changed is aborted at once, because its parts belong to no
/// version any more. An upload that S3 lost, or refuses to complete, is restarted once; a server that fails
/// twice would fail for ever.
struct MultipartState: Sendable {
  /// A part that S3 has received.
  struct Part: Sendable, Hashable {
    var number: Int
    var etag: String
    var crc: CRC32
    var byteCount: Int64
    var check: IntegrityCheck
    var attempts: Int
    /// Whether an earlier attempt had sent the part.
    var isReused: Bool
    /// Whether the server copied the part from the object that the upload replaces.
    var isCopied = false
  }

  /// Why a step failed, as far as this affects the next step. The cases are ordered: if two occur, the later
  /// case decides.
  enum Trouble: Sendable {
    /// Cancelled by the user, or by `WaveStep.cancel`.
    case cancelled(UnfinishedUploads)
    case failed(any Error)
    case checksumRefused(any Error)
    /// 404: another program aborted or completed the upload, or the answer to this program's completion was
    /// lost.
    case uploadGone(any Error)
    /// Another write of the key was in progress at the completion.
    case conflict(any Error)
    /// S3 has the parts but cannot make an object of them.
    case unusable(any Error)
    /// The object cannot be made of copies. Another upload has to send the whole file.
    case notCopied(DeltaFailure)
    /// The sent bytes belong to no version of the file.
    case abandoned(UploadAbandoned)
  }

  enum Opening: Sendable, Hashable {
    case resumedOrCreated
    case created
  }

  enum Step: Sendable {
    case open(Opening)
    /// Send these parts and follow the wave.
    case send([Int])
    case prove
    case complete(uploadID: String, parts: [Part])
    /// The upload is gone. Check whether the object has the expected content.
    case settle(parts: [Part])
    case abort(uploadID: String)
    case leave(uploadID: String)
    case succeed(parts: [Part])
    case fail(any Error)
  }

  /// The next step while parts are in flight.
  enum WaveStep: Sendable {
    case send([Int])
    case wait
    /// Cancel the parts in flight. The result of each must still be reported.
    case cancel
    case over(Step)
  }

  private enum Ending {
    case restart
    case failure(any Error)
  }

  private let partCount: Int
  private let width: Int
  private var uploadID = ""
  private var isResumed = false
  private var nextPart = 1
  private var inFlight: Set<Int> = []
  private var sent: [Int: Part] = [:]
  private var trouble: Trouble?
  private var restartsLeft = 1
  /// What follows an abort or a leave.
  private var ending = Ending.restart

  /// - Parameter width: how many parts are in flight at one time.
  init(partCount: Int, width: Int) {
    precondition(partCount > 0 && width > 0, "a multipart upload has parts")
    self.partCount = partCount
    self.width = width
  }

  private var parts: [Part] { sent.values.sorted { $0.number < $1.number } }

  // MARK: Opening

  func begin() -> Step { .open(.resumedOrCreated) }

  mutating func opened(_ uploadID: String, isResumed: Bool) -> Step {
    self.uploadID = uploadID
    self.isResumed = isResumed
    trouble = nil
    sent = [:]
    inFlight = Set(1...min(width, partCount))
    nextPart = inFlight.count + 1
    return .send(inFlight.sorted())
  }

  func openingFailed(_ error: any Error) -> Step { .fail(error) }

  // MARK: Parts

  mutating func partSent(_ part: Part) -> WaveStep {
    inFlight.remove(part.number)
    sent[part.number] = part
    if trouble == nil, nextPart <= partCount {
      inFlight.insert(nextPart)
      nextPart += 1
      return .send([nextPart - 1])
    }
    guard inFlight.isEmpty else { return .wait }
    return .over(trouble.map { resolve($0) } ?? .prove)
  }

  mutating func partFailed(_ number: Int, _ reason: Trouble) -> WaveStep {
    inFlight.remove(number)
    let isFirst = trouble == nil
    if trouble.map({ $0.gravity < reason.gravity }) ?? true { trouble = reason }
    guard inFlight.isEmpty else { return isFirst ? .cancel : .wait }
    return .over(resolve(trouble ?? reason))
  }

  // MARK: Publication

  func proved() -> Step { .complete(uploadID: uploadID, parts: parts) }

  mutating func proofFailed(_ reason: Trouble) -> Step { resolve(reason) }

  func completed() -> Step { .succeed(parts: parts) }

  mutating func completionFailed(_ reason: Trouble) -> Step {
    guard case .uploadGone = reason else { return resolve(reason) }
    trouble = reason
    return .settle(parts: parts)
  }

  /// - Parameter isPublished: whether the current object has exactly the bytes of the parts.
  mutating func settled(isPublished: Bool) -> Step {
    if isPublished { return .succeed(parts: parts) }
    guard let trouble else { preconditionFailure("nothing was to be settled") }
    return resolve(trouble)
  }

  /// S3 has no upload that could be aborted or resumed.
  func settlingFailed(_ error: any Error) -> Step { .fail(error) }

  // MARK: Ending

  /// Records that the abort or leave has been carried out, successfully or not.
  func ended() -> Step {
    switch ending {
    case .restart: .open(.created)
    case .failure(let error): .fail(error)
    }
  }

  private mutating func resolve(_ reason: Trouble) -> Step {
    switch reason {
    case .abandoned(let abandoned): return abort(.failure(abandoned))
    case .notCopied(let failure): return abort(.failure(failure))
    case .cancelled(.abort): return abort(.failure(CancellationError()))
    case .cancelled(.leave): return leave(CancellationError())
    case .failed(let error): return leave(error)
    case .uploadGone(let error):
      guard takeRestart() else { return .fail(error) }
      return .open(.created)
    case .conflict(let error), .unusable(let error), .checksumRefused(let error):
      return abort(takeRestart() ? .restart : .failure(error))
    }
  }

  /// A new start after a resumed upload is no repetition, because the fault lay in the old upload.
  private mutating func takeRestart() -> Bool {
    if isResumed { return true }
    guard restartsLeft > 0 else { return false }
    restartsLeft -= 1
    return true
  }

  private mutating func abort(_ ending: Ending) -> Step {
    self.ending = ending
    return .abort(uploadID: uploadID)
  }

  private mutating func leave(_ error: any Error) -> Step {
    ending = .failure(error)
    return .leave(uploadID: uploadID)
  }
}

extension MultipartState.Trouble {
  fileprivate var gravity: Int {
    switch self {
    case .cancelled: 0
    case .failed: 1
    case .checksumRefused: 2
    case .uploadGone: 3
    case .conflict: 4
    case .unusable: 5
    case .notCopied: 6
    case .abandoned: 7
    }
  }
}
