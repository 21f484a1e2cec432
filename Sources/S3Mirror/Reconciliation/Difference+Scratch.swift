import MirrorModel

/// Many differences that are found before a listing has ended wait on disk.
extension Difference: ScratchRecord {
  /// Written in the place of a copy's reason.
  private static let (suspect, marker) = ("", "/")

  func write(to bytes: inout ScratchBytes) {
    switch self {
    case .copy(let file, let reason, let object): Self.write(reason.rawValue, file, object, to: &bytes)
    case .suspect(let file, let object): Self.write(Self.suspect, file, object, to: &bytes)
    case .marker(let marker):
      bytes.append(Self.marker)
      bytes.append(marker.path.string)
    }
  }

  private static func write(
    _ kind: String, _ file: LocalEntry, _ object: RemoteObject?, to bytes: inout ScratchBytes
  ) {
    bytes.append(kind)
    file.write(to: &bytes)
    bytes.append(object == nil ? 0 : 1)
    if let object { RemoteEntry(path: file.path, object: object).write(to: &bytes) }
  }

  init(from bytes: inout ScratchBytes) throws {
    let kind = try bytes.text()
    if kind == Self.marker {
      guard let marker = DirectoryMarker(RelativePath(try bytes.text())) else {
        throw ScratchBytes.Malformed()
      }
      self = .marker(marker)
      return
    }
    let file = try LocalEntry(from: &bytes)
    let object = try bytes.number() == 0 ? nil : RemoteEntry(from: &bytes).object
    if kind == Self.suspect, let object {
      self = .suspect(file, object)
    } else {
      guard let reason = CopyReason(rawValue: kind) else { throw ScratchBytes.Malformed() }
      self = .copy(file, reason, object)
    }
  }
}

extension LocalEntry: ScratchRecord {
  func write(to bytes: inout ScratchBytes) {
    bytes.append(path.string)
    for number in [stamp.size, stamp.modified, stamp.changed] { bytes.append(number) }
    for number in [stamp.device, stamp.inode, stamp.links] { bytes.append(Int64(bitPattern: number)) }
  }

  init(from bytes: inout ScratchBytes) throws {
    path = RelativePath(try bytes.text())
    let size = try bytes.number()
    let modified = try bytes.number()
    let changed = try bytes.number()
    let device = UInt64(bitPattern: try bytes.number())
    let inode = UInt64(bitPattern: try bytes.number())
    let links = UInt64(bitPattern: try bytes.number())
    stamp = FileStamp(
      device: device, inode: inode, size: size, modified: modified, changed: changed, links: links)
  }
}
