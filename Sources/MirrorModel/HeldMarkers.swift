/// The commit markers of a download, held until their data have arrived (DOWN-14).
///
/// A listing names markers and data in the order of their keys, and data arrive in any order. So a download
/// holds each marker back until all data have ended. Then it fetches the markers from the deepest directory
/// up, because a marker further up (`latest`) refers to the markers below it (`checkpoint-5/.metadata`).
package struct HeldMarkers: Sendable {
  package struct Marker: Sendable, Hashable {
    package var path: RelativePath
    package var object: RemoteObject
  }

  /// The markers of one directory, in the order in which they were published. One marker may refer to another
  /// (`meta.pt` to `.metadata`).
  package struct Turn: Sendable, Hashable {
    package var directory: RelativePath
    package var markers: [Marker]
  }

  private var markers: [RelativePath: [Marker]] = [:]
  /// For each directory, the first path below it that did not arrive.
  private var obstacles: [RelativePath: RelativePath] = [:]

  package init() {}

  package var isEmpty: Bool { markers.isEmpty }

  package mutating func hold(_ path: RelativePath, _ object: RemoteObject) {
    markers[path.parent, default: []].append(Marker(path: path, object: object))
  }

  /// Records that a path did not arrive. The markers of its directory and of the directories above it are not
  /// fetched.
  package mutating func noteMissing(_ path: RelativePath) {
    for directory in path.ancestors where obstacles[directory] == nil { obstacles[directory] = path }
  }

  /// The path below a directory that holds its markers back because the path did not arrive.
  package func obstacle(toMarkersOf directory: RelativePath) -> RelativePath? { obstacles[directory] }

  /// All turns in groups. The groups follow one another; the turns of one group run at the same time.
  package var groups: [[Turn]] {
    var groups: [Int: [Turn]] = [:]
    for (directory, markers) in markers {
      let depth = directory.isRoot ? 0 : directory.ancestors.count
      let turn = Turn(directory: directory, markers: markers.sorted(by: Self.wasPublishedFirst))
      groups[depth, default: []].append(turn)
    }
    return groups.sorted { $0.key > $1.key }.map { $0.value.sorted { $0.directory < $1.directory } }
  }

  private static func wasPublishedFirst(_ one: Marker, _ other: Marker) -> Bool {
    one.object.lastModified == other.object.lastModified
      ? one.path < other.path : one.object.lastModified < other.object.lastModified
  }
}
