import Foundation
import MirrorModel
import Testing

/// One behaviour of the upload schedule as data: a tiny text file of settings, events and expectations.
///
/// A line is `SECONDS WORD ARGUMENT…` or, for settings, `schedule NAME=VALUE…`; `#` begins a comment. What a line
/// expects stands after `=>`. README.txt beside the scripts lists the words.
struct EventScript: Sendable, CustomTestStringConvertible {
  struct Line: Sendable {
    var number: Int
    /// Seconds since the script's beginning.
    var time: Double
    var word: String
    var arguments: [String]
    /// What is asked for after `=>`; nil where nothing is.
    var expected: String?
  }

  struct Malformed: Error, CustomStringConvertible {
    var script: String
    var line: Int
    var description: String { "\(script):\(line) is not a line of an event script" }
  }

  var name: String
  var settings: [String: String] = [:]
  var lines: [Line] = []

  var testDescription: String { name }

  init(name: String, text: String) throws {
    self.name = name
    for (index, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let code = raw.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
      let halves = code.split(separator: "=>", maxSplits: 1, omittingEmptySubsequences: false)
      let words = (halves.first ?? "").split(separator: " ").map(String.init)
      guard let first = words.first else { continue }
      if first == "schedule" {
        for setting in words.dropFirst() {
          let pair = setting.split(separator: "=", maxSplits: 1).map(String.init)
          guard pair.count == 2 else { throw Malformed(script: name, line: index + 1) }
          settings[pair[0]] = pair[1]
        }
      } else {
        guard let time = Double(first), words.count > 1 else {
          throw Malformed(script: name, line: index + 1)
        }
        lines.append(
          Line(
            number: index + 1, time: time, word: words[1], arguments: Array(words.dropFirst(2)),
            expected: halves.count == 2 ? halves[1].trimmingCharacters(in: .whitespaces) : nil))
      }
    }
  }

  /// Every script of the resources, by name.
  static let all: [EventScript] = {
    do {
      let folder = Bundle.module.bundleURL.appendingPathComponent("EventScripts")
      let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      return try files.filter { $0.pathExtension == "script" }
        .sorted { $0.lastPathComponent < $1.lastPathComponent }
        .map {
          try EventScript(
            name: $0.deletingPathExtension().lastPathComponent, text: String(contentsOf: $0, encoding: .utf8))
        }
    } catch {
      fatalError("the event scripts cannot be read: \(error)")
    }
  }()
}

extension WatchEvent {
  /// The event that a script's word names, or nil when the word is no event.
  init?(_ line: EventScript.Line) {
    let paths = line.arguments.map { RelativePath($0 == "." ? "" : $0) }
    switch (line.word, paths.count) {
    case ("created", 1): self = .created(paths[0])
    case ("modified", 1): self = .modified(paths[0])
    case ("closed", 1): self = .closed(paths[0])
    case ("attributes", 1): self = .attributes(paths[0])
    case ("deleted", 1): self = .deleted(paths[0])
    case ("found", 1): self = .found(paths[0])
    case ("renamed", 2): self = .renamed(from: paths[0], to: paths[1])
    case ("directory-appeared", 1): self = .directoryAppeared(paths[0])
    case ("directory-deleted", 1): self = .directoryDeleted(paths[0])
    case ("directory-renamed", 2): self = .directoryRenamed(from: paths[0], to: paths[1])
    case ("directory-moved-away", 1): self = .directoryMovedAway(paths[0])
    case ("overflow", 1): self = .rescan(paths[0], .queueOverflow)
    case ("unwatched", 1): self = .rescan(paths[0], .watchLimit)
    case ("root-lost", 0): self = .rootLost
    default: return nil
    }
  }
}
