import Foundation
import MirrorModel

@testable import S3Mirror

extension LaneUnderTest {
  /// Directories whose changes the lane would miss: they have no watch, and neither they nor a directory above them
  /// wait to be compared. Ask for them when nothing has changed since a flush.
  func unguardedDirectories() async throws -> [RelativePath] {
    let polled = lane.schedule.polled
    var unguarded: [RelativePath] = []
    for path in try directories(below: .root) where await watchEntry(of: path)?.descriptor == nil {
      if ([path] + path.ancestors).allSatisfy({ polled[$0] == nil }) { unguarded.append(path) }
    }
    return unguarded
  }

  /// Those whose names can be keys; the root is not among them.
  private func directories(below directory: RelativePath) throws -> [RelativePath] {
    var found: [RelativePath] = []
    for name in try FileManager.default.contentsOfDirectory(atPath: tree + "/" + directory.string) {
      let path = directory.appending(name)
      var status = stat()
      guard lstat(tree + "/" + path.string, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
        continue
      }
      found.append(path)
      found += try directories(below: path)
    }
    return found
  }
}
