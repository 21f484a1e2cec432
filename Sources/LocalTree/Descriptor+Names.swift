import MirrorModel
import SystemPackage

extension Descriptor {
  /// 64 KiB: about 2,000 short names a call.
  private static var directoryBufferSize: Int { 65_536 }

  // struct linux_dirent64 of getdents64(2): d_ino (8 bytes), d_off (8), d_reclen (2), d_type (1), d_name.
  private static var lengthOffset: Int { 16 }
  private static var typeOffset: Int { 18 }
  private static var nameOffset: Int { 19 }

  /// Calls `body` for each name in the directory, in the kernel's order, without `.` and `..`.
  ///
  /// - Parameter body: the kind is nil if the filesystem does not report it. A result of false ends the loop.
  // SAFETY: the buffer lives in this call only. The kernel fills whole records within the given size. Each
  // record's length and its name's NUL lie within the returned bytes; otherwise the slices of the buffer
  // trap. A name is valid only during the call of `body`.
  func forEachName(
    _ body: (Slice<UnsafeRawBufferPointer>, EntryKind?) throws(Errno) -> Bool
  ) throws(Errno) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.directoryBufferSize, alignment: 8)
    defer { buffer.deallocate() }
    while true {
      let count: Int
      do {
        count = try readDirectory(into: buffer)
      } catch .noSuchFileOrDirectory {
        // The directory was removed while it was open, so it is empty.
        return
      }
      if count == 0 { return }
      var record = UnsafeRawBufferPointer(rebasing: buffer[..<count])
      while !record.isEmpty {
        let length = Int(record.loadUnaligned(fromByteOffset: Self.lengthOffset, as: UInt16.self))
        let text = UnsafeRawBufferPointer(rebasing: record[Self.nameOffset..<length])
        let name = text.prefix { $0 != 0 }
        if !name.isDotOrDotDot, try !body(name, EntryKind(directoryType: record[Self.typeOffset])) { return }
        record = UnsafeRawBufferPointer(rebasing: record[length...])
      }
    }
  }
}

extension Slice<UnsafeRawBufferPointer> {
  fileprivate var isDotOrDotDot: Bool {
    first == UInt8(ascii: ".") && (count == 1 || (count == 2 && last == UInt8(ascii: ".")))
  }
}
