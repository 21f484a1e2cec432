import Glibc
import Synchronization

/// Numbers for versions, over all writers of a run.
final class VersionCounter: Sendable {
  private let last = Mutex<UInt64>(0)

  func next() -> UInt64 {
    last.withLock { last in
      last += 1
      return last
    }
  }
}

/// One writer: carries out operations by system calls, as a program does. What the tree does not allow is passed over.
///
/// Whoever writes to a file holds its flock(2), so that a file has one writer at a time and every session leaves a whole
/// version behind; renames, links and removals ask nobody.
final class TreeWriter {
  let root: String
  let outside: String
  private let versions: VersionCounter
  private var logs: [Int32] = []
  private(set) var performed = 0

  init(root: String, outside: String, versions: VersionCounter) {
    self.root = root
    self.outside = outside
    self.versions = versions
  }

  deinit { closeLogs() }

  func perform(_ operation: TreeOperation) {
    performed += 1
    switch operation {
    case .write(let path, let bytes, let mode, let pieces, let pause):
      write(root + "/" + path, bytes, mode, pieces: pieces, pause: pause)
    case .append(let path, let blocks, let staysOpen):
      append(root + "/" + path, blocks: blocks, staysOpen: staysOpen)
    case .closeLogs: closeLogs()
    case .truncate(let path, let bytes): truncate(root + "/" + path, to: bytes)
    case .rename(let from, let to): _ = Glibc.rename(root + "/" + from, root + "/" + to)
    case .exchange(let one, let other): exchange(root + "/" + one, root + "/" + other)
    case .link(let from, let to): _ = Glibc.link(root + "/" + from, root + "/" + to)
    case .symlink(let path): _ = Glibc.symlink("nowhere", root + "/" + path)
    case .unlink(let path): _ = Glibc.unlink(root + "/" + path)
    case .removeTree(let path): removeTree(root + "/" + path)
    case .makeDirectories(let path): makeDirectories(root + "/" + path)
    case .burst(let path, let files): burst(root + "/" + path, files: files)
    case .moveOut(let path): _ = Glibc.rename(root + "/" + path, outside + "/" + flat(path))
    case .moveIn(let path): _ = Glibc.rename(outside + "/" + flat(path), root + "/" + path)
    case .touch(let path): _ = utimes(root + "/" + path, nil)
    case .flush, .overflow: break
    }
  }

  func closeLogs() {
    for log in logs { close(log) }
    logs = []
  }

  // MARK: Writing

  /// Opens for writing and takes the lock; nil where that is not possible now.
  private func session(_ path: String, _ flags: Int32 = 0) -> Int32? {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0o644)
    guard descriptor >= 0 else { return nil }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      return nil
    }
    return descriptor
  }

  private func write(
    _ path: String, _ bytes: Int, _ mode: TreeOperation.WriteMode, pieces: Int, pause: UInt32
  ) {
    switch mode {
    case .replacing:
      let temporary = path + ".tmp"
      guard let descriptor = session(temporary, O_EXCL) else { return }
      put(version(bytes), to: descriptor, pieces: pieces, pause: pause)
      close(descriptor)
      if Glibc.rename(temporary, path) != 0 { _ = Glibc.unlink(temporary) }
    case .mapped:
      guard let descriptor = session(path) else { return }
      let size = Int(lseek(descriptor, 0, SEEK_END))
      if size >= SelfDescribingContent.blockBytes {
        putThroughMapping(version(size), to: descriptor, pieces: pieces, pause: pause)
      } else {
        put(version(bytes), to: descriptor, pieces: pieces, pause: pause)
        close(descriptor)
      }
    case .truncating, .inPlace:
      guard let descriptor = session(path) else { return }
      if mode == .truncating { ftruncate(descriptor, 0) }
      let content = version(bytes)
      put(content, to: descriptor, pieces: pieces, pause: pause)
      if mode == .inPlace { ftruncate(descriptor, off_t(content.count)) }
      close(descriptor)
    }
  }

  private func version(_ bytes: Int) -> [UInt8] {
    SelfDescribingContent.bytes(.whole, number: versions.next(), length: bytes)
  }

  private func put(_ content: [UInt8], to descriptor: Int32, pieces: Int, pause: UInt32) {
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

  private func append(_ path: String, blocks: Int, staysOpen: Bool) {
    guard let descriptor = session(path, O_APPEND) else { return }
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
      ftruncate(descriptor, 0)
      bytes = SelfDescribingContent.bytes(
        .log, number: versions.next(), length: (blocks + 1) * SelfDescribingContent.blockBytes)
    }
    _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    if staysOpen, logs.count < 3 { logs.append(descriptor) } else { close(descriptor) }
  }

  private func truncate(_ path: String, to bytes: Int) {
    guard let descriptor = session(path) else { return }
    let content = SelfDescribingContent.bytes(.cut, number: versions.next(), length: bytes + 500)
    ftruncate(descriptor, 0)
    put(content, to: descriptor, pieces: 1, pause: 0)
    ftruncate(descriptor, off_t(max(bytes, SelfDescribingContent.blockBytes)))
    close(descriptor)
  }

  // MARK: Names

  private func exchange(_ one: String, _ other: String) {
    // renameat2(2) with RENAME_EXCHANGE, 2, which Glibc's module does not show.
    typealias Call =
      @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
    guard let symbol = dlsym(nil, "renameat2") else { return }
    _ = unsafeBitCast(symbol, to: Call.self)(AT_FDCWD, one, AT_FDCWD, other, 2)
  }

  private func flat(_ path: String) -> String { String(path.map { $0 == "/" ? "_" : $0 }) }

  private func makeDirectories(_ path: String) {
    var made = root
    for name in path.dropFirst(root.count + 1).split(separator: "/") {
      made += "/" + name
      mkdir(made, 0o755)
    }
  }

  private func burst(_ path: String, files: Int) {
    makeDirectories(path)
    for index in 0..<files {
      guard let descriptor = session("\(path)/b\(index)") else { continue }
      ftruncate(descriptor, 0)
      put(version(100), to: descriptor, pieces: 1, pause: 0)
      close(descriptor)
    }
  }

  private func removeTree(_ path: String) {
    if let directory = opendir(path) {
      var names: [String] = []
      while let entry = readdir(directory) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { buffer in
          String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != "." && name != ".." { names.append(name) }
      }
      closedir(directory)
      for name in names {
        var status = stat()
        guard lstat(path + "/" + name, &status) == 0 else { continue }
        if status.st_mode & S_IFMT == S_IFDIR {
          removeTree(path + "/" + name)
        } else {
          _ = Glibc.unlink(path + "/" + name)
        }
      }
      rmdir(path)
    }
  }
}
