import Glibc
/// One writer: carries out operations by system calls, as a program does. What the tree does not allow is passed over.
///
/// Whoever writes to a file holds its flock(2), so that a file has one writer at a time and every session leaves a whole
/// version behind; renames, links and removals take no turn.
final class TreeWriter {
  let root: String
  let outside: String
  let names: NameCalls
  private let versions: VersionCounter
  private var logs: [Int32] = []
  /// Paths that were given hidden names, as long as nothing is known to the contrary.
  private var hidden: [String] = []

  /// - Parameter journal: where every change of names is recorded; nil if none is recorded.
  init(root: String, outside: String, versions: VersionCounter, journal: NameJournal? = nil) {
    self.root = root
    self.outside = outside
    self.versions = versions
    names = NameCalls(journal: journal)
  }

  deinit { closeLogs() }

  /// Whether it took effect.
  @discardableResult
  func perform(_ operation: TreeOperation) -> Bool {
    func inside(_ path: String) -> String { root + "/" + path }
    switch operation {
    case .write(let path, let bytes, let mode, let pieces, let pause):
      return write(inside(path), bytes, mode, pieces: pieces, pause: pause)
    case .append(let path, let blocks, let staysOpen):
      return append(inside(path), blocks: blocks, staysOpen: staysOpen)
    case .closeLogs: return closeLogs()
    case .truncate(let path, let bytes): return truncate(inside(path), to: bytes)
    case .truncateByName(let path, let bytes): return truncateByName(inside(path), to: bytes)
    case .rename(let from, let to): return names.rename(inside(from), to: inside(to))
    case .exchange(let one, let other): return names.exchange(inside(one), with: inside(other))
    case .link(let from, let to): return link(inside(from), to: inside(to))
    case .symlink(let path, let target): return names.symlink(inside(path), to: target)
    case .unlink(let path): return names.unlink(inside(path))
    case .removeTree(let path): return removeTree(inside(path))
    case .makeDirectories(let path): return makeDirectories(inside(path))
    case .burst(let path, let files): return burst(inside(path), files: files)
    case .moveOut(let path): return names.rename(inside(path), to: outside + "/" + flat(path))
    case .writeOutside(let path, let name, let bytes):
      return writeOutside(outside + "/" + flat(path), name, bytes: bytes)
    case .moveIn(let path, let new): return names.rename(outside + "/" + flat(path), to: inside(new))
    case .touch(let path): return utimes(inside(path), nil) == 0
    case .chmod(let path, let mode): return Glibc.chmod(inside(path), mode) == 0
    case .deepTree(let path): return deepTree(inside(path))
    case .fileToDirectory(let path): return fileToDirectory(inside(path))
    case .directoryToFile(let path, let bytes):
      let isRemoved = removeTree(inside(path))
      return write(inside(path), bytes, .inPlace, pieces: 1, pause: 0) && isRemoved
    case .linkUnnamed(let path, let bytes): return linkUnnamed(inside(path), bytes: bytes)
    case .makeNode(let path): return makeNode(inside(path))
    case .hide(let path): return hide(inside(path))
    case .unhide(let path, let new): return unhide(inside(path), to: inside(new))
    case .flush, .late, .overflow: return false
    }
  }

  @discardableResult
  func closeLogs() -> Bool {
    for log in logs { close(log) }
    defer { logs = [] }
    return !logs.isEmpty
  }

  // MARK: Writing

  func write(
    _ path: String, _ bytes: Int, _ mode: TreeOperation.WriteMode, pieces: Int, pause: UInt32
  ) -> Bool {
    switch mode {
    case .replacing:
      let temporary = path + ".tmp"
      guard let descriptor = names.open(temporary, O_EXCL) else { return false }
      put(version(bytes, on: descriptor), to: descriptor, pieces: pieces, pause: pause)
      close(descriptor)
      if names.rename(temporary, to: path) { return true }
      _ = names.unlink(temporary)
      return false
    case .mapped:
      guard let descriptor = names.open(path) else { return false }
      let size = Int(lseek(descriptor, 0, SEEK_END))
      if size >= SelfDescribingContent.blockBytes {
        putThroughMapping(version(size, on: descriptor), to: descriptor, pieces: pieces, pause: pause)
        return true
      }
      put(version(bytes, on: descriptor), to: descriptor, pieces: pieces, pause: pause)
      close(descriptor)
      return false
    case .truncating, .inPlace:
      guard let descriptor = names.open(path) else { return false }
      let content = version(bytes, on: descriptor)
      if mode == .truncating { ftruncate(descriptor, 0) }
      put(content, to: descriptor, pieces: pieces, pause: pause)
      if mode == .inPlace { ftruncate(descriptor, off_t(content.count)) }
      close(descriptor)
      return true
    }
  }

  /// A new version for an open file.
  func version(_ bytes: Int, _ kind: SelfDescribingContent.Kind = .whole, on descriptor: Int32) -> [UInt8] {
    let number = versions.next()
    names.begins(number, on: descriptor)
    return SelfDescribingContent.bytes(kind, number: number, length: bytes)
  }

  func put(_ content: [UInt8], to descriptor: Int32, pieces: Int, pause: UInt32) {
    forEachPiece(of: content, pieces: pieces, pause: pause) { range in
      content[range].withUnsafeBytes { buffer in
        _ = pwrite(descriptor, buffer.baseAddress, buffer.count, off_t(range.lowerBound))
      }
    }
  }

  /// The descriptor is closed before the first store, as programs do.
  private func putThroughMapping(_ content: [UInt8], to descriptor: Int32, pieces: Int, pause: UInt32) {
    let memory = mmap(nil, content.count, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    close(descriptor)
    guard let memory, memory != MAP_FAILED else { return }
    forEachPiece(of: content, pieces: pieces, pause: pause) { range in
      content[range].withUnsafeBytes { buffer in
        UnsafeMutableRawBufferPointer(start: memory + range.lowerBound, count: buffer.count).copyMemory(
          from: buffer)
      }
    }
    munmap(memory, content.count)
  }

  private func forEachPiece(of content: [UInt8], pieces: Int, pause: UInt32, _ body: (Range<Int>) -> Void) {
    let size = max(SelfDescribingContent.blockBytes, (content.count + pieces - 1) / pieces)
    for start in stride(from: 0, to: content.count, by: size) {
      if start > 0 { usleep(pause) }
      body(start..<min(start + size, content.count))
    }
  }

  private func append(_ path: String, blocks: Int, staysOpen: Bool) -> Bool {
    guard let descriptor = names.open(path, O_APPEND) else { return false }
    var head = [UInt8](repeating: 0, count: SelfDescribingContent.blockBytes)
    let size = Int(lseek(descriptor, 0, SEEK_END))
    let count = pread(descriptor, &head, head.count, 0)
    var bytes: [UInt8] = []
    if count == head.count, let known = SelfDescribingContent.readHeader(head), known.kind == .log,
      size % SelfDescribingContent.blockBytes == 0
    {
      let first = size / SelfDescribingContent.blockBytes
      for index in first..<(first + blocks) {
        bytes += SelfDescribingContent.block(known.number, index: UInt64(index))
      }
    } else {
      bytes = version((blocks + 1) * SelfDescribingContent.blockBytes, .log, on: descriptor)
      ftruncate(descriptor, 0)
    }
    _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if staysOpen, logs.count < 3 { logs.append(descriptor) } else { close(descriptor) }
    return true
  }

  private func truncate(_ path: String, to bytes: Int) -> Bool {
    guard let descriptor = names.open(path) else { return false }
    let content = version(bytes + 500, .cut, on: descriptor)
    ftruncate(descriptor, 0)
    put(content, to: descriptor, pieces: 1, pause: 0)
    ftruncate(descriptor, off_t(max(bytes, SelfDescribingContent.blockBytes)))
    close(descriptor)
    return true
  }

  /// Truncates a file that no process has open for writing, after a close of its own.
  private func truncateByName(_ path: String, to bytes: Int) -> Bool {
    guard truncate(path, to: bytes + 500) else { return false }
    // A lock needs no writer. The name under /proc is the locked file's, whatever became of its own.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var head = [UInt8](repeating: 0, count: SelfDescribingContent.blockBytes)
    // With names beside this one it might be cut after this one is gone, which no program that goes by names can do, and
    // that no event reports.
    var status = stat()
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0, fstat(descriptor, &status) == 0, status.st_nlink == 1,
      pread(descriptor, &head, head.count, 0) == head.count,
      SelfDescribingContent.readHeader(head)?.kind == .cut
    else { return false }
    return Glibc.truncate(
      "/proc/self/fd/\(descriptor)", off_t(max(bytes, SelfDescribingContent.blockBytes))) == 0
  }

  /// What most programs call an atomic write where the filesystem knows O_TMPFILE (open(2)).
  private func linkUnnamed(_ path: String, bytes: Int) -> Bool {
    guard let descriptor = names.openUnnamed(in: root) else { return false }
    defer { close(descriptor) }
    put(version(bytes, on: descriptor), to: descriptor, pieces: 1, pause: 0)
    return names.name(descriptor, path) || isFile(path) && names.unlink(path) && names.name(descriptor, path)
  }

  // MARK: Hidden names

  private func hide(_ path: String) -> Bool {
    guard names.rename(Array(path.utf8), to: HiddenNames.hidden(path)) else { return false }
    hidden.append(path)
    return true
  }

  /// The one that was hidden last where nothing is hidden at the path, under its old name where it cannot have the new one.
  private func unhide(_ path: String, to new: String) -> Bool {
    if names.rename(HiddenNames.hidden(path), to: Array(new.utf8)) { return true }
    while let last = hidden.popLast() {
      if [new, last].contains(where: { names.rename(HiddenNames.hidden(last), to: Array($0.utf8)) }) {
        return true
      }
    }
    return false
  }
}
