import Foundation
import MirrorModel
import TestSupport

@testable import S3Mirror

/// Two states of a prefix, one after the other, that a seed stands for: what markers must not lie about while the second
/// replaces the first here.
struct MarkerDownloadWorld: Sendable, CustomStringConvertible {
  let seed: UInt64
  private(set) var old: [RelativePath: String] = [:]
  private(set) var new: [RelativePath: String] = [:]

  static let order = CommitOrder { ["latest", ".metadata", "DONE"].contains($0.name) }

  init(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    self.seed = seed
    for directory in ["", "s1/", "s1/w/", "s2/", "s1-x/"] {
      for name in ["latest", ".metadata", "DONE", "a", "z", ".b"] {
        let path = RelativePath(directory + name)
        let isOld = random.below(2) == 0
        if isOld { old[path] = "old \(path)" }
        switch random.below(4) {
        case 0: new[path] = "new content of \(path)"
        case 1 where isOld: new[path] = old[path]
        case 2: new[path] = isOld ? "neu \(path)" : "new \(path)"
        default: break
        }
      }
    }
    // An empty prefix is an error of its own.
    new["always"] = "new"
    old["always"] = "old"
  }

  var description: String {
    func listed(_ state: [RelativePath: String]) -> String {
      state.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    }
    return "seed \(seed): from [\(listed(old))] to [\(listed(new))]"
  }

  /// The markers in a directory that speak for what is not there.
  ///
  /// Files change while they are read. Two readings that are equal stand for the moment between them; nil where there are none.
  func lies(in directory: String) -> [String]? {
    var here = Self.files(in: directory)
    for _ in 0..<20 {
      let again = Self.files(in: directory)
      if again == here { return lies(in: here) }
      here = again
    }
    return nil
  }

  private func lies(in here: [RelativePath: String]) -> [String] {
    here.keys.filter { marker in
      // One that S3 does not have is left alone.
      Self.order.isMarker(marker) && new[marker] != nil && !isTrue(marker, to: new, in: here)
        && !isTrue(marker, to: old, in: here)
    }.map(\.string).sorted()
  }

  /// Whether a marker is one of a state, and everything that it speaks for is here as it was in that state.
  private func isTrue(
    _ marker: RelativePath, to state: [RelativePath: String], in here: [RelativePath: String]
  ) -> Bool {
    guard state[marker] == here[marker] else { return false }
    return state.allSatisfy { path, text in
      let isSpokenFor =
        path.isWithin(marker.parent) && (path.parent != marker.parent || !Self.order.isMarker(path))
      return !isSpokenFor || here[path] == text
    }
  }

  /// Whole files, by their paths below a directory. The tool's temporary ones are none.
  private static func files(in directory: String) -> [RelativePath: String] {
    var found: [RelativePath: String] = [:]
    let names = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
    for name in names where !PathFilter.everything.excludes(RelativePath(name), .file) {
      if let text = try? String(contentsOfFile: directory + "/" + name, encoding: .utf8) {
        found[RelativePath(name)] = text
      }
    }
    return found
  }

  func isHere(in directory: String) -> Bool {
    let here = Self.files(in: directory)
    return new.allSatisfy { here[$0.key] == $0.value }
  }
}
