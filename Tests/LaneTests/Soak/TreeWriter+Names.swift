import Glibc

// What a writer does to names: renames, directories, removals.
extension TreeWriter {
  func flat(_ path: String) -> String { String(path.map { $0 == "/" ? "_" : $0 }) }

  func makeDirectories(_ path: String) {
    var made = root
    for name in path.dropFirst(root.count + 1).split(separator: "/") {
      made += "/" + name
      mkdir(made, 0o755)
    }
  }

  func burst(_ path: String, files: Int) {
    makeDirectories(path)
    for index in 0..<files {
      guard let descriptor = session("\(path)/b\(index)") else { continue }
      ftruncate(descriptor, 0)
      put(version(100), to: descriptor, pieces: 1, pause: 0)
      close(descriptor)
    }
  }

  func removeTree(_ path: String) {
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

  func deepTree(_ path: String) {
    let bottom = path + String(repeating: "/d", count: 20)
    makeDirectories(bottom)
    write(bottom + "/f", 200, .inPlace, pieces: 1, pause: 0)
  }

  func fileToDirectory(_ path: String) {
    guard Glibc.unlink(path) == 0, mkdir(path, 0o755) == 0 else { return }
    write(path + "/n0", 300, .inPlace, pieces: 1, pause: 0)
  }
}

/// Gives each of two paths what the other one led to.
///
/// - Returns: Whether that could be done.
func exchangeNames(_ one: String, _ other: String) -> Bool {
  // renameat2(2) with RENAME_EXCHANGE, 2, which Glibc's module does not show.
  typealias Call =
    @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
  guard let symbol = dlsym(nil, "renameat2") else { return false }
  return unsafeBitCast(symbol, to: Call.self)(AT_FDCWD, one, AT_FDCWD, other, 2) == 0
}

/// Names that are not UTF-8, and so no Swift strings: the name that was, and the byte 0xFF.
enum HiddenNames {
  static func hidden(_ path: String) -> [UInt8] { Array(path.utf8) + [0xFF] }

  static func rename(_ path: String, to other: [UInt8]) { rename(Array(path.utf8), other) }

  static func rename(_ path: [UInt8], to other: String) { rename(path, Array(other.utf8)) }

  private static func rename(_ path: [UInt8], _ other: [UInt8]) {
    _ = Glibc.rename(terminated(path), terminated(other))
  }

  private static func terminated(_ path: [UInt8]) -> [CChar] { (path + [0]).map(CChar.init(bitPattern:)) }

  /// Gives everything below a directory a name again that can be a key.
  static func reveal(below directory: String) {
    reveal(below: Array(directory.utf8))
  }

  private static func reveal(below directory: [UInt8]) {
    for name in names(in: directory) {
      var path = directory + [0x2F] + name
      if name.last == 0xFF {
        let revealed = path.dropLast() + Array("-revealed".utf8)
        rename(path, Array(revealed))
        path = Array(revealed)
      }
      reveal(below: path)
    }
  }

  /// None where the path is no directory.
  private static func names(in directory: [UInt8]) -> [[UInt8]] {
    let descriptor = open(terminated(directory), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard descriptor >= 0, let stream = fdopendir(descriptor) else { return [] }
    defer { closedir(stream) }
    var names: [[UInt8]] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
      if name != Array(".".utf8) && name != Array("..".utf8) { names.append(name) }
    }
    return names
  }
}
