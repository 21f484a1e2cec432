import Digests
import LocalTree
import LoopThread
import MirrorModel
import S3Client

/// The requests of a multipart upload, one for each step.
extension MultipartUpload {
  // MARK: Opening

  /// Resumes an upload that an earlier run left for this key, or creates a new one.
  func open(_ opening: MultipartState.Opening) async throws -> Opened {
    if opening == .resumedOrCreated, let resumed = try await resume() { return resumed }
    do {
      return try await create()
    } catch let error as S3Error {
      guard S3ErrorTriage.refusesChecksum(error), checksums.isSent else { throw error }
      checksums.noteRefusal()
      return try await create()
    }
  }

  private func create() async throws -> Opened {
    let isChecked = checksums.isSent
    let create = CreateMultipartUpload(
      key: key, contentType: uploader.contentType(of: source.path),
      metadata: uploader.metadata(for: source.file.stamp), checksum: isChecked ? .fullObjectCRC32 : .none,
      extraHeaders: uploader.extraHeaders)
    let uploadID = try await uploader.pending.begin(create, in: store, wallClock: uploader.wallClock)
    return Opened(uploadID: uploadID, isChecked: isChecked)
  }

  /// - Throws: `CancellationError`. Any other error only prevents the resumption.
  private func resume() async throws -> Opened? {
    // Uploads that cannot be resumed now stay known: another attempt may succeed, and the end of the run has
    // to report them.
    var others: [PendingUploads.Entry] = []
    defer { for other in others { uploader.pending.add(other, for: key) } }
    while let left = uploader.pending.takeNewest(for: key) {
      do {
        // Nil means that another tool began the upload with checksums that this program does not compute, so
        // it could not complete the upload.
        guard let (parts, skew) = try await listParts(of: left.uploadID) else {
          others.append(left)
          continue
        }
        return Opened(
          uploadID: left.uploadID, existing: parts, isResumed: true,
          begun: left.initiated == .max ? nil : skew.map { left.initiated - $0 }, isChecked: checksums.isSent)
      } catch let error as S3Error where error.code == "NoSuchUpload" {
        continue
      } catch let error as S3Error {
        uploader.pending.tell(error)
        others.append(left)
      } catch {
        others.append(left)
        throw error
      }
    }
    return nil
  }

  /// The parts, and the server's clock minus this machine's, in nanoseconds.
  private func listParts(of uploadID: String) async throws -> (parts: [Int: ListParts.Part], skew: Int64?)? {
    var parts: [Int: ListParts.Part] = [:]
    var skew: Int64?
    var marker: Int?
    while true {
      let page = try await store.send(ListParts(key: key, uploadID: uploadID, after: marker))
      let algorithm = page.checksumAlgorithm?.uppercased() ?? "CRC32"
      guard algorithm == "CRC32", page.checksumType != .composite else { return nil }
      for part in page.parts { parts[part.number] = part }
      skew = page.serverDate.map { $0 - uploader.wallClock() }
      guard let next = page.next, next > (marker ?? 0) else { return (parts, skew) }
      marker = next
    }
  }

  // MARK: Parts

  func extent(of number: Int) -> (offset: Int64, byteCount: Int64) {
    if let part = delta?.plan.parts[number - 1] { return (part.range.lowerBound, part.byteCount) }
    let offset = Int64(number - 1) * partBytes
    return (offset, min(partBytes, byteCount - offset))
  }

  /// Sends a part that the page cache holds, with its checksum behind it if the server understands that. So its
  /// bytes are read once.
  ///
  /// The part has its slot before that is decided. Otherwise all first parts would be read for a checksum in
  /// the head before the first answer could tell. Bytes that are not in the page cache are read without a
  /// slot, because neither a slot nor the loop should wait for the disk.
  private func sendWarm(_ number: Int, to opened: Opened) async throws -> Part {
    let (offset, count) = extent(of: number)
    var (part, attempts) = try await resources.withMemory(for: count, .streamed(.here)) {
      try await resources.inSlot(for: .part) {
        if checksums.beginTrailer(), let part = try await sendTrailed(number, to: opened) { return part }
        let comparison: StreamedBody.Comparison = checksums.isCompared(for: .part) ? .byServer : .here
        let read = try await resources.readers.run {
          try PartRead.read(source.file, at: offset, byteCount: count, holding: .streamed(comparison))
        }
        let answer = try await store.send(upload(read, number, to: opened))
        return try await checked(number, read, answer)
      }
    }
    part.attempts = attempts
    return part
  }

  /// Nil if the server does not understand the trailer.
  private func sendTrailed(_ number: Int, to opened: Opened) async throws -> Part? {
    let (offset, count) = extent(of: number)
    let body = TrailedBody(StreamedBody(unread: source.file, start: offset, byteCount: count))
    let upload = UploadPart(key: key, uploadID: opened.uploadID, number: number, body: body)
    do {
      let answer = try await store.send(upload)
      guard answer.checksumWasEchoed, let crc = body.checksum else {
        checksums.note(.refused)
        return nil
      }
      checksums.note(.understood)
      return Part(
        number: number, etag: answer.etag, crc: crc, byteCount: count, check: .crc32, attempts: 1,
        isReused: false)
    } catch let error as S3Error
      where Self.trailerRefusals.contains(error.status) || checksums.isTryingTrailer
    {
      // Whatever the first answer says, the part with its checksum in the head shows whether the trailer was the cause.
      checksums.note(.refused)
      return nil
    } catch {
      checksums.note(.undecided)
      throw error
    }
  }

  private func mayHaveTrailer(_ number: Int, in opened: Opened) -> Bool {
    let (offset, count) = extent(of: number)
    return store.takesTrailers && opened.isChecked && checksums.mayHaveTrailers && delta == nil
      && opened.existing[number] == nil && (source.isCopy || source.root.isLocal) && isWarm(offset, count)
  }

  /// Whether the page cache holds the stretch, as a look into every MiB tells. A look at an absent page makes
  /// the kernel read ahead from there, so the looks are not where other code looks.
  private func isWarm(_ offset: Int64, _ byteCount: Int64) -> Bool {
    let middles = stride(from: offset + 512 << 10, to: offset + byteCount, by: 1 << 20)
    return middles.allSatisfy { source.file.isInMemory(at: $0) }
      && source.file.isInMemory(at: offset + byteCount - 1)
  }

  /// 400, 411 and 501 say that a server does not know the format, 403 that it computed another signature. If
  /// there is another reason, the part with its checksum in the head fails for it too.
  private static let trailerRefusals: Set = [400, 403, 411, 501]

  /// - Parameter expected: the MD5 of the part's first read, if there was one.
  func send(_ number: Int, to opened: Opened, expected: String?) async throws -> Part {
    if expected == nil, mayHaveTrailer(number, in: opened) { return try await sendWarm(number, to: opened) }
    let (offset, count) = extent(of: number)
    let existing = opened.existing[number].flatMap { $0.byteCount == count ? $0 : nil }
    let holding = holding(of: count, in: opened, expected: expected)
    return try await resources.withMemory(for: count, holding) {
      let wasCold = delta?.wasCold(offset..<offset + count) ?? false || isCold(source.file, offset, count)
      let read = try await resources.readers.run {
        try PartRead.read(source.file, at: offset, byteCount: count, holding: holding)
      }
      if let expected, holding == .buffered {
        guard try await resources.readers.run({ try read.md5() }) == expected else {
          throw UploadAbandoned.changed
        }
      }
      if let existing, expected == nil || ETag.md5(existing.etag) == expected,
        let check = try await sameness(existing, read, in: opened)
      {
        return Part(
          number: number, etag: existing.etag, crc: read.crc, byteCount: count, check: check, attempts: 1,
          isReused: true)
      }
      let upload = upload(read, number, to: opened, signed: try await uploader.payloadSHA256(of: read))
      let (answer, attempts) = try await resources.send(upload, through: store, for: .part)
      if wasCold { source.file.advise(.dontNeed(offset..<offset + count)) }
      var part = try await checked(number, read, answer)
      part.attempts = attempts
      return part
    }
  }

  /// The request for a part with its checksum in the head.
  private func upload(_ read: PartRead, _ number: Int, to opened: Opened, signed hash: String? = nil)
    -> UploadPart
  {
    UploadPart(
      key: key, uploadID: opened.uploadID, number: number, body: read.body,
      checksumCRC32: opened.isChecked ? read.crc : nil, payloadSHA256: hash)
  }

  private func checked(_ number: Int, _ read: PartRead, _ answer: UploadPart.Output) async throws -> Part {
    checksums.note(isEchoed: answer.checksumWasEchoed, for: .part)
    let check = try await uploader.check(
      read, in: source, against: answer.etag, isEchoed: answer.checksumWasEchoed)
    return Part(
      number: number, etag: answer.etag, crc: read.crc, byteCount: read.byteCount, check: check,
      attempts: 1, isReused: false)
  }

  /// How a part on S3 is known to have these bytes; nil if this is unknown.
  ///
  /// The CRC-32 is enough if the file has not changed since the upload began. Otherwise the part may belong
  /// to an older version, and versions whose records each end in their own CRC-32 share one CRC-32. So the
  /// ETag must also be the bytes' MD5. Where it never is (SSE-KMS), such a part is sent again.
  private func sameness(_ part: ListParts.Part, _ read: PartRead, in opened: Opened) async throws
    -> IntegrityCheck?
  {
    if let checksum = part.checksumCRC32 {
      guard checksum == read.crc.base64 else { return nil }
      let stamp = source.file.stamp
      if let begun = opened.begun, max(stamp.modified, stamp.changed) < begun - Comparison.clockUncertainty {
        return .crc32
      }
    }
    let check = try await uploader.check(read, in: source, against: part.etag, isEchoed: false)
    guard check == .md5 else { return nil }
    return part.checksumCRC32 == nil ? .md5 : .crc32
  }

  /// Parts are sent from the page cache, which the first read has filled, and not from buffers in memory.
  /// There are two exceptions. On another machine's disk, pages may have to be fetched again while the
  /// network waits. In a reread, the second read is compared with the first by more than its checksum, and
  /// the sent bytes must be compared in the same way. In these cases the parts are held in memory if they
  /// fit.
  private func holding(of byteCount: Int64, in opened: Opened, expected: String?) -> PartRead.Holding {
    if expected == nil, source.isCopy || source.root.isLocal {
      return .streamed(opened.isChecked && checksums.isCompared(for: .part) ? .byServer : .here)
    }
    if resources.fitsInMemory(byteCount) { return .buffered }
    return .streamed(expected.map { .hereByMD5($0) } ?? .here)
  }

  // MARK: Ending

  func complete(_ opened: Opened, _ parts: [Part]) async throws -> Publication {
    let named = parts.map { part in
      CompleteMultipartUpload.Part(
        number: part.number, etag: part.etag,
        checksumCRC32: opened.isChecked && part.check == .crc32 ? part.crc : nil)
    }
    let whole = opened.isChecked && checksums.isWholeSent ? Self.wholeChecksum(of: parts) : nil
    var complete = CompleteMultipartUpload(
      key: key, uploadID: opened.uploadID, parts: named, fullObjectCRC32: whole, byteCount: byteCount)
    do {
      return try await send(complete)
    } catch let error as S3Error
      where error.code == "BadDigest" && whole != nil && parts.allSatisfy({ $0.check == .crc32 })
    {
      // The server has compared every part but refuses the checksum of the whole, so it does not support this
      // kind of checksum.
      checksums.noteWholeRefusal()
      complete.fullObjectCRC32 = nil
      return try await send(complete)
    }
  }

  private func send(_ complete: CompleteMultipartUpload) async throws -> Publication {
    let (answer, attempts) = try await resources.send(complete, through: store, for: .part)
    if complete.fullObjectCRC32 != nil { checksums.noteWhole(isEchoed: answer.checksumWasEchoed) }
    return Publication(
      etag: answer.etag, requestID: answer.requestID, isEchoed: answer.checksumWasEchoed, attempts: attempts,
      answered: answer.serverDate)
  }

  /// The object, if it has the content of the parts. The answer of a successful completion may have been
  /// lost.
  func find(_ parts: [Part]) async throws -> Publication? {
    let head: ObjectHead
    do {
      head = try await store.send(HeadObject(key: key))
    } catch let error as S3Error where error.isNotFound {
      return nil
    }
    guard head.byteCount == byteCount else { return nil }
    // An older version may have the same CRC-32, but then its mtime differs.
    let isSame =
      head.etag == Self.etag(of: parts)
      || head.fullObjectCRC32 == Self.wholeChecksum(of: parts)
        && head.metadata[ModificationTime.metadataName]
          == ModificationTime.text(nanoseconds: source.file.stamp.modified)
    guard isSame else { return nil }
    return Publication(
      etag: head.etag, requestID: head.requestID,
      isEchoed: head.fullObjectCRC32 == Self.wholeChecksum(of: parts),
      attempts: 1,
      answered: head.serverDate)
  }

  static func wholeChecksum(of parts: [Part]) -> CRC32 {
    parts.reduce(CRC32()) { crc, part in crc.combined(with: part.crc, byteCount: part.byteCount) }
  }

  /// S3's ETag of a multipart object: the MD5 of the parts' MD5s, and their number; nil if a part's ETag is
  /// no MD5.
  private static func etag(of parts: [Part]) -> String? {
    let digests = parts.compactMap { ETag.md5($0.etag).flatMap(decodeHexadecimal) }
    guard digests.count == parts.count else { return nil }
    return "\(hexadecimal(md5(digests.flatMap(\.self))))-\(parts.count)"
  }

  /// Requests of a cancelled task fail at once, so the abort runs in a task of its own, which is awaited
  /// here.
  func abort(_ uploadID: String) async {
    let abort = AbortMultipartUpload(key: key, uploadID: uploadID)
    let store = store
    do {
      try await Task(executorPreference: TaskThreads.current) { try await store.send(abort) }.value
    } catch let failure as S3Error where failure.isNotFound {
      return
    } catch {
      // The abort failed. The end of the run tries it again.
      leave(uploadID)
    }
  }

  func leave(_ uploadID: String) {
    uploader.pending.add(.init(uploadID: uploadID, initiated: .max, isOurs: true), for: key)
  }
}
