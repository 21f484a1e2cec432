import LocalTree
import MirrorModel

extension TreeRoot {
  /// The local tracker at a path; nil if the file is gone, is too large, or names nothing.
  func tracker(at path: RelativePath) throws(TreeError) -> Tracker? {
    guard let content = try content(of: path, limit: Int(Tracker.longest)) else { return nil }
    return Tracker(path, content: content)
  }
}
