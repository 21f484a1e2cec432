import CLinux
import Glibc
import SystemPackage

// Blocking reads of small files to their end. `Data(contentsOf:)` rejects files that are not regular, but
// users often name /dev/null, pipes or a shell's <(…).
extension FileDescriptor {
  /// The whole content of a file.
  package static func contents(ofFileAt path: String) throws(Errno) -> [UInt8] {
    try rethrowingErrno {
      let descriptor = try open(FilePath(path), .readOnly, options: .closeOnExec)
      return try descriptor.closeAfter { try descriptor.contents() }
    }
  }

  /// All bytes from the current position to the end.
  package func contents() throws(Errno) -> [UInt8] {
    var bytes: [UInt8] = []
    while true {
      let piece = try read(upTo: 16 << 10)
      if piece.isEmpty { return bytes }
      bytes += piece
    }
  }

  /// The result of one read(2); empty at the end.
  package func read(upTo count: Int) throws(Errno) -> [UInt8] {
    try Self.rethrowingErrno {
      // SAFETY: only the bytes that the kernel has written count as initialized, here and below.
      try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        filled = try read(into: UnsafeMutableRawBufferPointer(buffer))
      }
    }
  }

  /// Up to this number of bytes from an offset on; fewer if the file ends earlier.
  package func read(_ count: Int, at offset: Int64) throws(Errno) -> [UInt8] {
    try Self.rethrowingErrno {
      try [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
        while filled < count {
          let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
          let piece = try read(fromAbsoluteOffset: offset + Int64(filled), into: rest)
          if piece == 0 { break }
          filled += piece
        }
      }
    }
  }

  /// Writes all bytes. It waits if the descriptor is a pipe or a terminal that another program has made
  /// non-blocking.
  package func writeWhole(_ bytes: [UInt8]) throws(Errno) {
    var written = 0
    while written < bytes.count {
      // SAFETY: the kernel reads only within the array, during this call.
      let count = bytes.withUnsafeBytes {
        Glibc.write(rawValue, $0.baseAddress.map { $0 + written }, $0.count - written)
      }
      if count >= 0 {
        written += count
        continue
      }
      switch errno {
      case EINTR: break
      case EAGAIN:
        var ready = pollfd(fd: rawValue, events: Int16(POLLOUT), revents: 0)
        _ = poll(&ready, 1, -1)
      case let code: throw Errno(rawValue: code)
      }
    }
  }

  /// A pipe that no child process inherits. The caller closes both ends.
  package static func privatePipe() throws(Errno) -> (reader: FileDescriptor, writer: FileDescriptor) {
    var ends: (CInt, CInt) = (0, 0)
    guard s3m_pipe(&ends.0, &ends.1) == 0 else { throw Errno(rawValue: errno) }
    return (FileDescriptor(rawValue: ends.0), FileDescriptor(rawValue: ends.1))
  }

  /// swift-system throws only `Errno`, but its declarations do not state it.
  private static func rethrowingErrno<Result>(_ body: () throws -> Result) throws(Errno) -> Result {
    do {
      return try body()
    } catch let errno as Errno {
      throw errno
    } catch {
      preconditionFailure("not an errno: \(error)")
    }
  }
}
