import Glibc
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
    case .exchange(let one, let other): _ = exchangeNames(root + "/" + one, root + "/" + other)
    case .link(let from, let to): _ = Glibc.link(root + "/" + from, root + "/" + to)
    case .symlink(let path): _ = Glibc.symlink("nowhere", root + "/" + path)
    case .unlink(let path): _ = Glibc.unlink(root + "/" + path)
    case .removeTree(let path): removeTree(root + "/" + path)
    case .makeDirectories(let path): makeDirectories(root + "/" + path)
    case .burst(let path, let files): burst(root + "/" + path, files: files)
    case .moveOut(let path): _ = Glibc.rename(root + "/" + path, outside + "/" + flat(path))
    case .moveIn(let path): _ = Glibc.rename(outside + "/" + flat(path), root + "/" + path)
    case .touch(let path): _ = utimes(root + "/" + path, nil)
    case .chmod(let path, let mode): _ = Glibc.chmod(root + "/" + path, mode)
    case .deepTree(let path): deepTree(root + "/" + path)
    case .fileToDirectory(let path): fileToDirectory(root + "/" + path)
    case .directoryToFile(let path, let bytes):
      removeTree(root + "/" + path)
      write(root + "/" + path, bytes, .inPlace, pieces: 1, pause: 0)
    case .linkUnnamed(let path, let bytes): linkUnnamed(root + "/" + path, bytes: bytes)
    case .makeNode(let path): _ = mknod(root + "/" + path, S_IFREG | 0o644, 0)
    case .hide(let path): HiddenNames.rename(root + "/" + path, to: HiddenNames.hidden(root + "/" + path))
    case .unhide(let path, let new):
      HiddenNames.rename(HiddenNames.hidden(root + "/" + path), to: root + "/" + new)
    case .flush, .late, .overflow: break
    }
  }

  func closeLogs() {
    for log in logs { close(log) }
    logs = []
  }

  // MARK: Writing

  /// Opens for writing and takes the lock; nil where that is not possible now.
  func session(_ path: String, _ flags: Int32 = 0) -> Int32? {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0o644)
    guard descriptor >= 0 else { return nil }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      return nil
    }
    return descriptor
  }

  func write(
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

  func version(_ bytes: Int) -> [UInt8] {
    SelfDescribingContent.bytes(.whole, number: versions.next(), length: bytes)
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

  /// What most programs call an atomic write where the filesystem knows O_TMPFILE (open(2)).
  private func linkUnnamed(_ path: String, bytes: Int) {
    // O_TMPFILE, which Glibc's module does not show: 020000000 and O_DIRECTORY.
    let descriptor = open(root, O_RDWR | O_CLOEXEC | O_DIRECTORY | 0o20000000, 0o644)
    guard descriptor >= 0, flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return }
    put(version(bytes), to: descriptor, pieces: 1, pause: 0)
    _ = linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, path, AT_SYMLINK_FOLLOW)
    close(descriptor)
  }
}
