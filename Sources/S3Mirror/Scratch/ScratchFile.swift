import FoundationEssentials
import Glibc
import LoopThread
import Synchronization
import SystemPackage

/// A temporary file without a name, for data that must not be held in memory. Its space is freed when it is
/// closed, also after SIGKILL.
final class ScratchFile: Sendable {
  private let directory: FilePath
  private let descriptor: FileDescriptor
  private let byteCount = Mutex(0 as Int64)

  /// - Parameter directory: by default the system's temporary directory (`TMPDIR`, else `/tmp`).
  /// - Throws: `MirrorError.local` that names the directory.
  init(in directory: String? = nil) throws {
    self.directory = FilePath(directory ?? FileManager.default.temporaryDirectory.path)
    let path = self.directory.appending("s3mirror-" + UUID().uuidString)
    do {
      descriptor = try FileDescriptor.open(
        path, .readWrite, options: [.create, .exclusiveCreate, .closeOnExec], permissions: .ownerReadWrite)
    } catch {
      throw MirrorError(
        .local, "no temporary file can be made in \(self.directory) (\(error)); \(Self.remedy)")
    }
    guard unlink(path.string) == 0 else { throw fault(Errno(rawValue: errno)) }
  }

  deinit {
    do {
      try descriptor.close()
    } catch {
      // The file had no name, so bytes that close(2) could not write are not needed.
    }
  }

  private static let remedy = "set TMPDIR to a directory that can be written"

  private func fault(_ cause: some Error) -> MirrorError {
    MirrorError(.local, "a temporary file in \(directory): \(cause); \(Self.remedy)")
  }

  /// - Returns: the range of the bytes in the file.
  func append(_ bytes: [UInt8]) throws -> Range<Int64> {
    try byteCount.withLock { byteCount in
      let start = byteCount
      do {
        byteCount += Int64(try descriptor.writeAll(toAbsoluteOffset: start, bytes))
      } catch {
        throw fault(error)
      }
      return start..<byteCount
    }
  }

  func read(_ range: Range<Int64>) throws -> [UInt8] {
    let bytes: [UInt8]
    do {
      bytes = try descriptor.read(range.count, at: range.lowerBound)
    } catch {
      throw fault(error)
    }
    guard bytes.count == range.count else {
      throw MirrorError(.local, "a temporary file in \(directory) was cut short")
    }
    return bytes
  }
}

/// A value that can be written to a scratch file.
protocol ScratchRecord: Sendable {
  func write(to bytes: inout ScratchBytes)
  init(from bytes: inout ScratchBytes) throws
}

/// Fields in sequence: a number takes eight bytes, a text follows its length.
struct ScratchBytes: Sendable {
  var bytes: [UInt8] = []
  private(set) var position = 0

  /// A record was read past its end, so the bytes are not those that were written.
  struct Malformed: Error {}

  var isAtEnd: Bool { position == bytes.count }

  mutating func append(_ number: Int64) {
    var rest = UInt64(bitPattern: number)
    for _ in 0..<8 {
      bytes.append(UInt8(truncatingIfNeeded: rest))
      rest >>= 8
    }
  }

  mutating func append(_ text: String) {
    append(Int64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  mutating func number() throws -> Int64 {
    guard position + 8 <= bytes.count else { throw Malformed() }
    var number: UInt64 = 0
    for offset in 0..<8 { number |= UInt64(bytes[position + offset]) << (8 * UInt64(offset)) }
    position += 8
    return Int64(bitPattern: number)
  }

  mutating func text() throws -> String {
    let count = Int(try number())
    guard count >= 0, position + count <= bytes.count else { throw Malformed() }
    defer { position += count }
    return String(decoding: bytes[position..<(position + count)], as: UTF8.self)
  }
}

/// Reads the records of some blocks of a scratch file in the order in which they were written.
struct ScratchCursor<Record: ScratchRecord>: Sendable {
  private let file: ScratchFile
  /// Each block holds whole records.
  private var blocks: ArraySlice<Range<Int64>>
  private var current = ScratchBytes()

  init(_ file: ScratchFile, blocks: [Range<Int64>]) {
    self.file = file
    self.blocks = blocks[...]
  }

  mutating func next() throws -> Record? {
    while current.isAtEnd {
      guard let block = blocks.popFirst() else { return nil }
      current = ScratchBytes()
      current.bytes = try file.read(block)
    }
    return try Record(from: &current)
  }
}

/// Records in the order in which they were added: in memory while they are few, then in a scratch file. They
/// can be read more than once.
struct Spool<Record: ScratchRecord>: Sendable {
  /// How many records are kept in memory: about 200 bytes each, so about 2 MB.
  static var memoryLimit: Int { 8_192 }

  private let limit: Int
  private var file: ScratchFile?
  private var blocks: [Range<Int64>] = []
  private var recent: [Record] = []
  private(set) var count = 0

  init(memoryLimit: Int = Self.memoryLimit) {
    limit = memoryLimit
  }

  var isEmpty: Bool { count == 0 }

  mutating func append(_ record: Record) throws {
    recent.append(record)
    count += 1
    if recent.count >= limit { try flush() }
  }

  mutating func removeAll() {
    self = Spool(memoryLimit: limit)
  }

  private mutating func flush() throws {
    let file = try file ?? ScratchFile()
    self.file = file
    blocks += try file.append(blocksOf: recent)
    recent = []
  }

  /// Passes all records to `body`, in batches of at most `size`.
  nonisolated(nonsending) func forEachBatch(of size: Int, _ body: ([Record]) async throws -> Void)
    async throws
  {
    var batch: [Record] = []
    if let file {
      var cursor = ScratchCursor<Record>(file, blocks: blocks)
      while let record = try cursor.next() {
        batch.append(record)
        if batch.count == size {
          try await body(batch)
          batch = []
        }
      }
    }
    for record in recent {
      batch.append(record)
      if batch.count == size {
        try await body(batch)
        batch = []
      }
    }
    if !batch.isEmpty { try await body(batch) }
  }
}

extension ScratchFile {
  /// The size of one read, approximately, in bytes. A merge holds one block of each run.
  private static let blockSize = 64 << 10

  /// Writes records in blocks that can be read separately.
  func append(blocksOf records: some Sequence<some ScratchRecord>) throws -> [Range<Int64>] {
    var blocks: [Range<Int64>] = []
    var block = ScratchBytes()
    for record in records {
      record.write(to: &block)
      if block.bytes.count >= Self.blockSize {
        blocks.append(try append(block.bytes))
        block = ScratchBytes()
      }
    }
    if !block.bytes.isEmpty { blocks.append(try append(block.bytes)) }
    return blocks
  }
}
