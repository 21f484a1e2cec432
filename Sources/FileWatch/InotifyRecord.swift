import CLinux
import MirrorModel

/// One record of inotify(7)'s stream: `struct inotify_event`, with its name as text.
package struct InotifyRecord: Sendable, Hashable {
  package enum Name: Sendable, Hashable {
    /// The record is about the watched directory itself.
    case none
    /// One name, without a slash.
    case text(RelativePath)
    /// Bytes that are not UTF-8 and so cannot be a key, in the form of `RelativePath.escaping`.
    case undecodable(RelativePath)
  }

  /// -1 for `queueOverflow`, which belongs to no watch.
  package var descriptor: Int32
  package var mask: InotifyMask
  /// Connects the two halves of a rename; 0 otherwise.
  package var cookie: UInt32
  package var name: Name

  package init(descriptor: Int32, mask: InotifyMask, cookie: UInt32 = 0, name: Name = .none) {
    self.descriptor = descriptor
    self.mask = mask
    self.cookie = cookie
    self.name = name
  }
}

extension InotifyRecord {
  /// Bytes before the name: wd, mask, cookie and len, 4 each (inotify(7), `struct inotify_event`).
  package static let headerBytes = 16

  /// Decodes all whole records in `bytes`, in order, and returns how many bytes they took.
  ///
  /// The kernel never splits a record over two reads, so a remainder means that records were lost.
  package static func decode(
    _ bytes: UnsafeRawBufferPointer, each body: (InotifyRecord) throws -> Void
  ) rethrows -> Int {
    var offset = 0
    while bytes.count - offset >= headerBytes {
      // SAFETY: the loop's condition keeps the 16 bytes inside the buffer; unaligned loads are allowed.
      func word(_ index: Int) -> UInt32 {
        bytes.loadUnaligned(fromByteOffset: offset + 4 * index, as: UInt32.self)
      }
      let nameBytes = Int(word(3))
      guard nameBytes <= bytes.count - offset - headerBytes else { break }
      let start = offset + headerBytes
      try body(
        InotifyRecord(
          descriptor: Int32(bitPattern: word(0)), mask: InotifyMask(rawValue: word(1)), cookie: word(2),
          name: Name(padded: UnsafeRawBufferPointer(rebasing: bytes[start..<start + nameBytes]))))
      offset = start + nameBytes
    }
    return offset
  }
}

extension InotifyRecord.Name {
  /// The kernel pads names with NULs to the alignment of the next record.
  init(padded bytes: UnsafeRawBufferPointer) {
    let end = bytes.firstIndex(of: 0) ?? bytes.endIndex
    guard end > 0 else {
      self = .none
      return
    }
    if let text = String(validating: bytes[..<end], as: UTF8.self) {
      self = .text(RelativePath(text))
    } else {
      self = .undecodable(.escaping(bytes[..<end]))
    }
  }
}

/// The bits of inotify(7) that the watch requests or receives; values as in linux/inotify.h.
package struct InotifyMask: OptionSet, Sendable, Hashable {
  package let rawValue: UInt32

  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let modify = InotifyMask(rawValue: UInt32(IN_MODIFY))
  package static let attributes = InotifyMask(rawValue: UInt32(IN_ATTRIB))
  package static let closeWrite = InotifyMask(rawValue: UInt32(IN_CLOSE_WRITE))
  package static let movedFrom = InotifyMask(rawValue: UInt32(IN_MOVED_FROM))
  package static let movedTo = InotifyMask(rawValue: UInt32(IN_MOVED_TO))
  package static let create = InotifyMask(rawValue: UInt32(IN_CREATE))
  package static let delete = InotifyMask(rawValue: UInt32(IN_DELETE))
  package static let deleteSelf = InotifyMask(rawValue: UInt32(IN_DELETE_SELF))
  package static let moveSelf = InotifyMask(rawValue: UInt32(IN_MOVE_SELF))
  package static let unmount = InotifyMask(rawValue: UInt32(IN_UNMOUNT))
  package static let queueOverflow = InotifyMask(rawValue: UInt32(IN_Q_OVERFLOW))
  package static let ignored = InotifyMask(rawValue: UInt32(IN_IGNORED))
  package static let isDirectory = InotifyMask(rawValue: UInt32(IN_ISDIR))

  /// The bits that every watch requests.
  ///
  /// IN_EXCL_UNLINK suppresses events of a deleted file that is still open. Otherwise the close of such a
  /// file would count as the close of a new file with the same name. IN_DONT_FOLLOW is not set, because the
  /// path is a link in /proc to a directory that was opened with O_NOFOLLOW.
  package static let watched: InotifyMask = [
    .modify, .attributes, .closeWrite, .movedFrom, .movedTo, .create, .delete, .deleteSelf, .moveSelf,
    InotifyMask(rawValue: UInt32(IN_ONLYDIR)), InotifyMask(rawValue: UInt32(IN_EXCL_UNLINK)),
  ]
}
