import CZlib
import SystemPackage

/// Decompresses a gzip file with any number of members as a stream, and continues after damaged members.
///
/// zcat stops at the first damage. This reader can start again at every member: after damage it searches for
/// the next gzip header from the start of the bad member, because zlib may have read past headers before it
/// noticed the damage. A power failure leaves damage in the middle, and SIGKILL leaves an incomplete end.
final class GzipReader {
  enum Piece {
    /// Decompressed bytes, never empty, that continue the ones before.
    case bytes([UInt8])
    /// Bytes are missing here. The following bytes belong to another member.
    case damage
    /// The file ends inside a member.
    case cut
  }

  private enum Position {
    /// Between members. Zero bytes and other padding are skipped until a header.
    case seeking(matched: Int)
    case inMember
    case ended

    var isWithinHeader: Bool {
      if case .seeking(let matched) = self { matched > 0 } else { false }
    }
  }

  private let path: FilePath
  private let file: FileDescriptor
  private let stream: UnsafeMutablePointer<z_stream>
  private var position = Position.seeking(matched: 0)
  private var skippedGarbage = false
  /// Whether the last output filled its chunk. Then zlib may hold more output although its input is used up.
  private var mayHoldOutput = false
  private var input: [UInt8] = []
  private var next = 0
  /// The offset of `input` in the file.
  private var inputOffset: Int64 = 0
  /// The offset of the current member in the file.
  private var memberOffset: Int64 = 0
  /// The file ended inside a member. The bytes after that member's start are searched for another header.
  private var isSearchingCutMember = false

  /// ID1, ID2 and CM of a member's header (RFC 1952, 2.3.1).
  private static let magic: [UInt8] = [0x1F, 0x8B, 0x08]
  /// Bytes read or decompressed at a time.
  private static let chunk = 64 * 1024

  init(path: FilePath) throws(TransferLogError) {
    self.path = path
    do {
      file = try FileDescriptor.open(path, .readOnly, options: [.closeOnExec])
    } catch {
      throw TransferLogError(
        .open, path: path, cause: "\(error)", remedy: "check that it exists and that this user may read it")
    }
    // SAFETY: as in GzipWriter: the z_stream never moves, belongs to this object alone, and is used by one
    // thread at a time.
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let status = s3m_inflate_init(stream, 15 + 16)
    precondition(
      status == Z_OK, "inflateInit2 returned \(status): out of memory, or a zlib unlike its headers")
  }

  deinit {
    inflateEnd(stream)
    stream.deinitialize(count: 1)
    stream.deallocate()
    // A descriptor that was only read has no errors left to report.
    close(file.rawValue)
  }

  /// The next piece; `nil` at the end of the file.
  func nextPiece() throws(TransferLogError) -> Piece? {
    while true {
      if next == input.count, !mayHoldOutput, try !refill() {
        if case .inMember = position {
          isSearchingCutMember = true
          try seekPastMemberStart()
          continue
        }
        let wasCut = isSearchingCutMember || position.isWithinHeader
        let wasDamaged = takeSkippedGarbage()
        position = .ended
        isSearchingCutMember = false
        if wasCut { return .cut }
        return wasDamaged ? .damage : nil
      }
      switch position {
      case .ended: return nil
      case .seeking(let matched):
        if seek(from: matched), takeSkippedGarbage() { return .damage }
      case .inMember:
        if let piece = try inflateSome() { return piece }
      }
    }
  }

  private func takeSkippedGarbage() -> Bool {
    defer { skippedGarbage = false }
    return skippedGarbage
  }

  /// Searches the input for a header. True once it was found and passed to zlib.
  private func seek(from alreadyMatched: Int) -> Bool {
    var matched = alreadyMatched
    while next < input.count {
      let byte = input[next]
      next += 1
      if byte == Self.magic[matched] {
        matched += 1
      } else {
        // Zero bytes between members are padding (gzip skips them too).
        if matched > 0 || byte != 0 { skippedGarbage = true }
        matched = byte == Self.magic[0] ? 1 : 0
      }
      if matched == Self.magic.count {
        memberOffset = inputOffset + Int64(next - matched)
        isSearchingCutMember = false
        inflateReset(stream)
        _ = inflate(Self.magic, from: 0)
        position = .inMember
        return true
      }
    }
    position = .seeking(matched: matched)
    return false
  }

  /// Decompresses up to one chunk; `nil` if this gave no bytes.
  private func inflateSome() throws(TransferLogError) -> Piece? {
    let result = inflate(input, from: next)
    next = result.next
    mayHoldOutput = result.output.count == Self.chunk && result.status == Z_OK
    switch result.status {
    case Z_OK, Z_BUF_ERROR: break
    case Z_STREAM_END: position = .seeking(matched: 0)
    default:
      skippedGarbage = true
      try seekPastMemberStart()
    }
    return result.output.isEmpty ? nil : .bytes(result.output)
  }

  /// Goes back to the second byte of the member, to search for the next header from there.
  private func seekPastMemberStart() throws(TransferLogError) {
    position = .seeking(matched: 0)
    do {
      inputOffset = try file.seek(offset: memberOffset + 1, from: .start)
    } catch {
      throw TransferLogError(.read, path: path, cause: "\(error)", remedy: "copy it to a regular file first")
    }
    input = []
    next = 0
  }

  private func inflate(_ bytes: [UInt8], from start: Int) -> (output: [UInt8], next: Int, status: Int32) {
    var status = Z_OK
    var consumed = 0
    let output = bytes.withUnsafeBufferPointer { input in
      [UInt8](unsafeUninitializedCapacity: Self.chunk) { output, count in
        // SAFETY: zlib reads next_in and writes next_out during this call only. Both buffers outlive the
        // call, `start` is at most the input's count, and zlib does not write to its input.
        stream.pointee.next_in = input.baseAddress.map { UnsafeMutablePointer(mutating: $0 + start) }
        stream.pointee.avail_in = UInt32(input.count - start)
        stream.pointee.next_out = output.baseAddress
        stream.pointee.avail_out = UInt32(Self.chunk)
        status = CZlib.inflate(stream, Z_NO_FLUSH)
        consumed = input.count - start - Int(stream.pointee.avail_in)
        count = Self.chunk - Int(stream.pointee.avail_out)
        stream.pointee.next_in = nil
        stream.pointee.next_out = nil
      }
    }
    return (output, start + consumed, status)
  }

  /// Reads the next chunk of the file; false at its end.
  private func refill() throws(TransferLogError) -> Bool {
    inputOffset += Int64(input.count)
    do {
      input = try [UInt8](unsafeUninitializedCapacity: Self.chunk) { buffer, count in
        // SAFETY: the kernel writes only within the buffer, during this call.
        let raw = UnsafeMutableRawBufferPointer(buffer)
        count = try file.read(into: UnsafeMutableRawBufferPointer(rebasing: raw[..<Self.chunk]))
      }
    } catch {
      throw TransferLogError(
        .read, path: path, cause: "\(error)", remedy: "check the disk, then read it again")
    }
    next = 0
    return !input.isEmpty
  }
}
