import Glibc
import SystemPackage

/// The log files of one run, with one open at a time: a new file for each UTC day, and when a file exceeds
/// its limit.
///
/// No second run ever appends to a file, because zcat cannot read what follows a member that a SIGKILL cut.
final class LogFileSeries {
  private struct OpenFile {
    var descriptor: FileDescriptor
    var path: FilePath
    var day: UTCDay
    /// The bytes up to the end of the last complete member.
    var size: Int64
  }

  let directory: FilePath
  private let mirror: String
  private let start: String
  private let processID: Int32
  private let maxFileBytes: Int64
  private let gzip = GzipWriter()
  private var current: OpenFile?
  private var lastName: (day: UTCDay, sequence: Int)?

  init(directory: FilePath, mirror: String, start: UTCTime, maxFileBytes: Int64) {
    self.directory = directory
    self.mirror = mirror
    self.start = start.compactTimeOfDay
    self.processID = getpid()
    self.maxFileBytes = maxFileBytes
  }

  deinit {
    // Every member was written completely by its write, so a failure here loses nothing.
    if let current { Glibc.close(current.descriptor.rawValue) }
  }

  /// The path of the file that got the last lines.
  var currentPath: FilePath? { current?.path }

  /// Writes whole lines as one member to the file of this day, in one write(2).
  ///
  /// After a failure the file ends with the member before, so that the same lines can be tried again.
  func write(_ lines: [UInt8], day: UTCDay) throws(TransferLogError) {
    var file = try openFile(for: day)
    let member = gzip.member(of: lines)
    do {
      try file.descriptor.writeAll(member)
    } catch {
      takeBack(file)
      throw TransferLogError(.write, path: file.path, errno: error as? Errno ?? .ioError)
    }
    file.size += Int64(member.count)
    current = file
  }

  func close() throws(TransferLogError) {
    guard let file = current else { return }
    current = nil
    do {
      try file.descriptor.close()
    } catch {
      // close(2) may report an earlier failed write, for example on NFS.
      throw TransferLogError(.close, path: file.path, errno: error as? Errno ?? .ioError)
    }
  }

  /// Removes this mirror's files that are more than `days` days older than `today`.
  func removeFiles(olderThan days: Int, today: UTCDay) throws(TransferLogError) {
    var failure: TransferLogError?
    for file in try TransferLogFile.all(in: directory, mirror: mirror)
    where file.day.number < today.number - Int64(days) {
      let path = directory.appending(file.name)
      // unlink(2) removes a symbolic link itself and rejects a directory.
      if unlink(path.string) != 0, errno != ENOENT {
        failure = TransferLogError(.expire, path: path, errno: Errno(rawValue: errno))
      }
    }
    if let failure { throw failure }
  }

  /// Creates the directory and its missing parents for this user only, as the XDG specification requires.
  func createDirectory() throws(TransferLogError) {
    var missing: [FilePath] = []
    var path = directory
    var status = stat()
    while stat(path.string, &status) != 0, errno == ENOENT {
      missing.append(path)
      guard path.removeLastComponent(), !path.isEmpty else { break }
    }
    for path in missing.reversed() where mkdir(path.string, 0o700) != 0 && errno != EEXIST {
      throw TransferLogError(.createDirectory, path: path, errno: Errno(rawValue: errno))
    }
  }

  private func openFile(for day: UTCDay) throws(TransferLogError) -> OpenFile {
    if let file = current, file.day == day, file.size < maxFileBytes, isLinked(file) { return file }
    try close()
    var sequence = lastName.map { $0.day == day ? $0.sequence + 1 : 1 } ?? 1
    try createDirectory()
    while true {
      let name = TransferLogFile(
        mirror: mirror, day: day, start: start, processID: processID, sequence: sequence)
      let path = directory.appending(name.name)
      do {
        // Exclusive, because containers that share a home directory may have equal process IDs, and a clock
        // may be set back.
        let descriptor = try FileDescriptor.open(
          path, .writeOnly, options: [.create, .exclusiveCreate, .append, .closeOnExec],
          permissions: [.ownerReadWrite])
        lastName = (day, sequence)
        return OpenFile(descriptor: descriptor, path: path, day: day, size: 0)
      } catch Errno.fileExists {
        sequence += 1
      } catch {
        throw TransferLogError(.create, path: path, errno: error as? Errno ?? .ioError)
      }
    }
  }

  /// Whether the open file still has a name. Lines in a removed file would be lost without notice.
  private func isLinked(_ file: OpenFile) -> Bool {
    var status = stat()
    return fstat(file.descriptor.rawValue, &status) == 0 && status.st_nlink > 0
  }

  /// Undoes a partial write. If this fails, the file is left as it is, and the next lines go to another file.
  private func takeBack(_ file: OpenFile) {
    if file.size > 0, ftruncate(file.descriptor.rawValue, off_t(file.size)) == 0 {
      current = file
      return
    }
    // An empty file is no gzip file, so it is removed.
    if file.size == 0 { unlink(file.path.string) }
    Glibc.close(file.descriptor.rawValue)
    current = nil
  }
}
