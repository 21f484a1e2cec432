import Digests
import LocalTree
import LoopThread
import MirrorModel
import S3Client

/// The upload of one file in parts. Carries out what `MultipartState` decides.
struct MultipartUpload: Sendable {
  let uploader: Uploader
  let source: Uploader.Source
  let wanted: Uploader.Wanted
  let partBytes: Int64
  let partCount: Int
  let beforePublication: @Sendable () async throws -> Void
  /// Nil if the whole file is sent.
  var delta: Delta?

  /// A multipart upload that S3 has begun.
  struct Opened: Sendable {
    var uploadID = ""
    /// Parts that an earlier run has sent.
    var existing: [Int: ListParts.Part] = [:]
    var isResumed = false
    /// When an earlier run began the upload, by this machine's clock: nanoseconds since 1970-01-01 UTC. Nil
    /// if unknown.
    var begun: Int64?
    /// Whether the requests for parts and completion have checksums.
    var isChecked = true
  }

  /// The object that was made by this or by an earlier completion.
  struct Publication {
    var etag: String
    var requestID: String?
    var isEchoed: Bool
    var attempts: Int
    /// When the server answered, by the server's clock: nanoseconds since 1970-01-01 UTC.
    var answered: Int64?
  }

  typealias Part = MultipartState.Part
  typealias Trouble = MultipartState.Trouble

  var key: String { wanted.key }
  var store: any ObjectStore { uploader.store }
  var resources: TransferResources { uploader.resources }
  var checksums: ChecksumSupport { uploader.settings.checksums }
  var byteCount: Int64 { source.file.stamp.size }

  func run() async throws -> UploadReceipt {
    let firstRead = try await readAheadOfSnapshot(wanted.openFiles)
    var state = MultipartState(partCount: partCount, width: resources.slots.partsUnderWay)
    var opened = Opened()
    var proof = PublicationProof.reread
    var isSuperseded = false
    var publication: Publication?
    var step = state.begin()
    while true {
      do {
        switch step {
        case .open(let opening):
          opened = try await open(opening)
          step = state.opened(opened.uploadID, isResumed: opened.isResumed)
        case .send(let numbers):
          (step, state) = await send(numbers, to: opened, expected: firstRead, state: state)
        case .prove:
          proof = try prove(isReread: firstRead != nil)
          // A private copy occupies disk space that other copies of its unit may need, so it does not wait.
          if let whenStaged = wanted.whenStaged, !source.isCopy { try await whenStaged() }
          try await beforePublication()
          isSuperseded = try uploader.isSuperseded(source, wanted, proof)
          step = state.proved()
        case .complete(_, let parts):
          publication = try await complete(opened, parts)
          step = state.completed()
        case .settle(let parts):
          publication = try await find(parts)
          step = state.settled(isPublished: publication != nil)
        case .abort(let uploadID):
          await abort(uploadID)
          step = state.ended()
        case .leave(let uploadID):
          leave(uploadID)
          step = state.ended()
        case .succeed(let parts):
          guard let publication else { preconditionFailure("a success without an object") }
          try checkCopies(parts, in: publication)
          var receipt = receipt(parts, publication, proof)
          receipt.isSuperseded = isSuperseded
          receipt.stampLasts = uploader.stampLasts(of: source, in: receipt)
          return receipt
        case .fail(let error):
          throw Failure(error)
        }
      } catch let failure as Failure {
        throw failure.cause
      } catch {
        step = next(after: error, in: step, of: opened, &state)
      }
    }
  }

  /// Ends the loop. All other errors go to the state.
  private struct Failure: Error {
    let cause: any Error

    init(_ cause: any Error) { self.cause = cause }
  }

  private func next(
    after error: any Error, in step: MultipartState.Step, of opened: Opened, _ state: inout MultipartState
  ) -> MultipartState.Step {
    switch step {
    case .open: return state.openingFailed(error)
    case .prove: return state.proofFailed(proofTrouble(error))
    case .complete: return state.completionFailed(completionTrouble(error, of: opened))
    case .settle: return state.settlingFailed(error)
    case .send, .abort, .leave, .succeed, .fail: return .fail(error)
    }
  }

  // MARK: Proof

  /// A first read of the parts that are sent: their MD5s by part number.
  typealias FirstRead = [Int: String]

  /// Nil if the probe found no writer, so that one read can prove the file whole.
  private func readAheadOfSnapshot(_ openFiles: OpenFilePolicy) async throws -> FirstRead? {
    if source.isCopy { return nil }
    switch source.check.outlook {
    case .proved, .changed: return nil
    case .writerPresent where openFiles == .wait: throw UploadAbandoned.openForWriting
    case .writerPresent, .untold: break
    }
    var digests: FirstRead = [:]
    for number in 1...partCount where copied(number) == nil {
      let (offset, count) = extent(of: number)
      digests[number] = try await resources.readers.run {
        try md5Hexadecimal(of: source.file, from: offset, byteCount: count)
      }
    }
    try await uploader.checkBeginning(of: source, openFiles)
    try await TaskThreads.pause(for: uploader.settings.settle)
    return digests
  }

  private func prove(isReread: Bool) throws -> PublicationProof {
    if let proof = source.proof { return proof }
    if isReread {
      guard try source.check.confirmsReread(wanted.openFiles, of: wanted.versions) else {
        throw UploadAbandoned.changed
      }
      return .reread
    }
    switch try source.check.verdict(of: wanted.versions) {
    case .proved(let proof): return proof
    case .writerPresent: throw UploadAbandoned.openForWriting
    case .changed, .untold: throw UploadAbandoned.changed
    }
  }

  // MARK: Parts

  private func send(
    _ first: [Int], to opened: Opened, expected: FirstRead?, state: MultipartState
  ) async -> (MultipartState.Step, MultipartState) {
    await withTaskGroup(of: (number: Int, result: Result<Part, any Error>).self) { group in
      var state = state
      var wave = MultipartState.WaveStep.send(first)
      while true {
        switch wave {
        case .send(let numbers):
          for number in numbers {
            group.addTask {
              do {
                return (number, .success(try await part(number, to: opened, expected: expected)))
              } catch {
                return (number, .failure(error))
              }
            }
          }
        case .cancel: group.cancelAll()
        case .wait: break
        case .over(let step): return (step, state)
        }
        guard let (number, result) = await group.next() else { preconditionFailure("a wave without parts") }
        switch result {
        case .success(let part): wave = state.partSent(part)
        case .failure(let error): wave = state.partFailed(number, trouble(error, of: opened))
        }
      }
    }
  }

  private func part(_ number: Int, to opened: Opened, expected: FirstRead?) async throws -> Part {
    if let delta, let part = copied(number) {
      return try await copy(number, part, by: delta, to: opened, isReread: expected != nil)
    }
    return try await send(number, to: opened, expected: expected?[number])
  }

  /// Nil if the part is sent.
  private func copied(_ number: Int) -> DeltaPlan.Part? {
    guard let part = delta?.plan.parts[number - 1], part.source == .object else { return nil }
    return part
  }

  private func receipt(_ parts: [Part], _ publication: Publication, _ proof: PublicationProof)
    -> UploadReceipt
  {
    UploadReceipt(
      byteCount: byteCount, parts: parts.count, partsReused: parts.count { $0.isReused },
      attempts: max(publication.attempts, parts.map(\.attempts).max() ?? 1), etag: publication.etag,
      requestID: publication.requestID, answered: publication.answered,
      crc32: Self.wholeChecksum(of: parts).base64,
      checksum: publication.isEchoed ? .crc32 : IntegrityCheck(parts: parts.map(\.check)), proof: proof,
      stamp: source.file.stamp, isSnapshot: proof == .reread && source.check.hasWriter,
      bytesCopied: delta?.plan.copiedBytes ?? 0, blocks: blocks(of: parts))
  }

  // MARK: Trouble

  private func proofTrouble(_ error: any Error) -> Trouble {
    switch error {
    case let abandoned as UploadAbandoned: .abandoned(abandoned)
    case let failure as DeltaFailure: .notCopied(failure)
    case is CancellationError: .cancelled(uploader.pending.whenCancelled)
    default: .failed(error)
    }
  }

  private func trouble(_ error: any Error, of opened: Opened) -> Trouble {
    guard let refusal = error as? S3Error else { return proofTrouble(error) }
    if refusal.isNotFound, refusal.code != "NoSuchBucket" { return .uploadGone(refusal) }
    if opened.isChecked, S3ErrorTriage.refusesChecksum(refusal) {
      // A resumed upload may have been begun without checksums and may refuse them only for that reason.
      if !opened.isResumed { checksums.noteRefusal() }
      return .checksumRefused(refusal)
    }
    return .failed(refusal)
  }

  private func completionTrouble(_ error: any Error, of opened: Opened) -> Trouble {
    guard let refusal = error as? S3Error else { return trouble(error, of: opened) }
    switch refusal.code {
    case "ConditionalRequestConflict": return .conflict(refusal)
    case "InvalidPart", "InvalidPartOrder", "EntityTooSmall", "BadDigest":
      return delta == nil ? .unusable(refusal) : .notCopied(.refused(refusal))
    default: return trouble(refusal, of: opened)
    }
  }
}
