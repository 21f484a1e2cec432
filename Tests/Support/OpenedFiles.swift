import CLinux
import Glibc
import SystemPackage

/// Which files of a directory are opened, by anybody (inotify(7), IN_OPEN): a file that is not opened is not read.
package final class OpenedFiles {
  private let descriptor: Int32

  /// Begins to look.
  ///
  /// - Throws: `Errno`.
  package init(in directory: String) throws {
    descriptor = inotify_init1(Int32(O_CLOEXEC | O_NONBLOCK))
    guard descriptor >= 0 else { throw Errno(rawValue: errno) }
    guard inotify_add_watch(descriptor, directory, UInt32(IN_OPEN)) >= 0 else {
      let code = Errno(rawValue: errno)
      close(descriptor)
      throw code
    }
  }

  deinit { close(descriptor) }

  /// The names of files that were opened since the last such question.
  package func names() -> Set<String> {
    var names: Set<String> = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = read(descriptor, &buffer, buffer.count)
      guard count > 0 else { return names }
      var offset = 0
      // struct inotify_event: four numbers of four bytes, the last the length of the name that follows.
      while offset + 16 <= count {
        let field = { (at: Int) in
          (0..<4).reduce(0 as UInt32) { $0 | UInt32(buffer[offset + at + $1]) << (8 * $1) }
        }
        let length = Int(field(12))
        let name = buffer[offset + 16..<offset + 16 + length].prefix { $0 != 0 }
        if field(4) & UInt32(IN_ISDIR) == 0, !name.isEmpty {
          names.insert(String(decoding: name, as: UTF8.self))
        }
        offset += 16 + length
      }
    }
  }
}
