import Digests
import MirrorModel
import S3Client

/// What becomes of one multipart upload: a value that takes what happened and answers what to do next. It does no I/O, so
/// every race can be tested by calling it in that order; `MultipartUpload` carries its steps out.
///
/// An upload that fails because of the network or the end of the run stays on S3 and is resumed from its parts. One whose file
/// changed is aborted at once, for its parts are of no version any more. One that S3 lost, or that it refuses to complete, is
/// begun anew, once: a server that does it twice would do it for ever.
struct MultipartState: Sendable {
  /// A part that S3 has.
  struct Part: Sendable, Hashable {
    var number: Int
    var etag: String
    var crc: CRC32
    var byteCount: Int64
    var check: IntegrityCheck
    var attempts: Int
    /// An earlier upload had brought it over.
    var isReused: Bool
  }

  /// Why something did not work, as far as it makes a difference. Graver ones later: of two the graver decides.
  enum Trouble: Sendable {
    /// By the user, or by `WaveStep.cancel`.
    case cancelled(UnfinishedUploads)
    case failed(any Error)
    case checksumRefused(any Error)
    /// 404: somebody aborted or completed it, or the answer to our own completion was lost.
    case uploadGone(any Error)
    /// Another write was under way when this one was to become visible.
    case conflict(any Error)
    /// S3 has parts, but no object can be made of them.
    case unusable(any Error)
    /// The bytes that were sent are of no version of the file.
    case abandoned(UploadAbandoned)
  }

  enum Opening: Sendable, Hashable {
    case resumedOrCreated
    case created
  }

  enum Step: Sendable {
    case open(Opening)
    /// Begin with these parts and follow the wave.
    case send([Int])
    case prove
    case complete(uploadID: String, parts: [Part])
    /// The upload is gone: look whether the object is what was to be made.
    case settle(parts: [Part])
    case abort(uploadID: String)
    case leave(uploadID: String)
    case succeed(parts: [Part])
    case fail(any Error)
  }

  /// What to do while parts are in flight.
  enum WaveStep: Sendable {
    case send([Int])
    case wait
    /// End the parts in flight; each must still be told of.
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
  /// Follows an abort or a leave.
  private var ending = Ending.restart

  /// - Parameter width: parts in flight at one time.
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

  /// - Parameter isPublished: whether the object that is there now has exactly the bytes of the parts.
  mutating func settled(isPublished: Bool) -> Step {
    if isPublished { return .succeed(parts: parts) }
    guard let trouble else { preconditionFailure("nothing was to be settled") }
    return resolve(trouble)
  }

  /// Nothing is left on S3 that could be aborted or resumed.
  func settlingFailed(_ error: any Error) -> Step { .fail(error) }

  // MARK: Ending

  /// The abort or the leave that was asked for has been carried out, as far as that was possible.
  func ended() -> Step {
    switch ending {
    case .restart: .open(.created)
    case .failure(let error): .fail(error)
    }
  }

  private mutating func resolve(_ reason: Trouble) -> Step {
    switch reason {
    case .abandoned(let abandoned): return abort(.failure(abandoned))
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

  /// Beginning anew instead of resuming is no repetition: the fault was the old upload's.
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
    case .abandoned: 6
    }
  }
}
