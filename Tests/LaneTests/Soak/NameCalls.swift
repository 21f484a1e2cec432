import Glibc
import TestSupport

/// The system calls by which writers change names, each with its record if there is a journal.
///
/// Each returns whether it took effect.
struct NameCalls {
  let journal: NameJournal?

  private func perform(_ change: @autoclosure () -> NameChange, when isDone: () -> Bool) -> Bool {
    guard let journal else { return isDone() }
    return journal.record { isDone() ? change() : nil }
  }

  private func relative(_ path: some Sequence<UInt8>) -> [UInt8] { journal?.relative(path) ?? [] }

  // MARK: Files

  /// Opens for writing and takes the lock; nil where that is not possible now.
  func open(_ path: String, _ flags: Int32 = 0) -> Int32? {
    var descriptor: Int32 = -1
    let isOpen = perform(.opened(relative(path.utf8), session: session(descriptor))) {
      descriptor = Glibc.open(
        path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0o644)
      return descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) == 0
    }
    if isOpen { return descriptor }
    if descriptor >= 0 { close(descriptor) }
    return nil
  }

  /// Opens a file without a name on the filesystem of a directory (O_TMPFILE).
  func openUnnamed(in directory: String) -> Int32? {
    var descriptor: Int32 = -1
    let isOpen = perform(.openedUnnamed(session: session(descriptor))) {
      // O_TMPFILE, which Glibc's module does not show: 020000000 and O_DIRECTORY.
      descriptor = Glibc.open(directory, O_RDWR | O_CLOEXEC | O_DIRECTORY | 0o20000000, 0o644)
      return descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) == 0
    }
    return isOpen ? descriptor : nil
  }

  /// To be called before a version's first byte is written.
  func begins(_ version: UInt64, on descriptor: Int32) {
    _ = perform(.writes(version: version, session: session(descriptor))) { true }
  }

  func name(_ descriptor: Int32, _ path: String) -> Bool {
    perform(.named(relative(path.utf8), session: session(descriptor))) {
      linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0
    }
  }

  private func session(_ descriptor: Int32) -> NameChange.Session {
    .init(process: getpid(), descriptor: descriptor)
  }

  // MARK: Names

  func makeDirectory(_ path: String) -> Bool {
    perform(.madeDirectory(relative(path.utf8))) { mkdir(path, 0o755) == 0 }
  }

  func makeNode(_ path: String) -> Bool {
    perform(.madeFile(relative(path.utf8))) { mknod(path, S_IFREG | 0o644, 0) == 0 }
  }

  func symlink(_ path: String, to target: String) -> Bool {
    perform(.madeLink(relative(path.utf8))) { Glibc.symlink(target, path) == 0 }
  }

  func link(_ path: String, to other: String) -> Bool {
    perform(.linked(relative(path.utf8), to: relative(other.utf8))) { Glibc.link(path, other) == 0 }
  }

  func rename(_ path: String, to other: String) -> Bool {
    rename(Array(path.utf8), to: Array(other.utf8))
  }

  func rename(_ path: [UInt8], to other: [UInt8]) -> Bool {
    perform(.renamed(relative(path), to: relative(other))) {
      Glibc.rename(terminated(path), terminated(other)) == 0
    }
  }

  func exchange(_ path: String, with other: String) -> Bool {
    perform(.exchanged(relative(path.utf8), with: relative(other.utf8))) {
      exchangeNames(path, other) == 0
    }
  }

  func unlink(_ path: String) -> Bool {
    perform(.removed(relative(path.utf8))) { Glibc.unlink(path) == 0 }
  }

  func removeDirectory(_ path: String) -> Bool {
    perform(.removed(relative(path.utf8))) { rmdir(path) == 0 }
  }

  private func terminated(_ path: [UInt8]) -> [CChar] { (path + [0]).map(CChar.init(bitPattern:)) }
}
