/// The commit markers of a download, held until their data are here (DOWN-14).
///
/// A listing names markers and data as their keys come, and data arrive in no order. So a download holds back each marker that it
/// meets, and fetches the markers when all data have ended: from the deepest directory up, because a marker further up (`latest`)
/// speaks for the markers below it (`checkpoint-5/.metadata`).
package struct HeldMarkers: Sendable {
  package struct Marker: Sendable, Hashable {
    package var path: RelativePath
    package var object: RemoteObject
  }

  /// The markers of one directory, in the order in which they were published: one of them may speak for another
  /// (`meta.pt` for `.metadata`).
  package struct Turn: Sendable, Hashable {
    package var directory: RelativePath
    package var markers: [Marker]
  }

  private var markers: [RelativePath: [Marker]] = [:]
  /// For a directory: the first path below it that did not arrive.
  private var obstacles: [RelativePath: RelativePath] = [:]

  package init() {}

  package var isEmpty: Bool { markers.isEmpty }

  package mutating func hold(_ path: RelativePath, _ object: RemoteObject) {
    markers[path.parent, default: []].append(Marker(path: path, object: object))
  }

  /// Notes that a path did not arrive: the markers of its directory and of the directories above it stay away.
  package mutating func noteMissing(_ path: RelativePath) {
    for directory in path.ancestors where obstacles[directory] == nil { obstacles[directory] = path }
  }

  /// What keeps a directory's markers back: a path below it that did not arrive.
  package func obstacle(toMarkersOf directory: RelativePath) -> RelativePath? { obstacles[directory] }

  /// All turns: one group after the other, the turns of a group at the same time.
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
