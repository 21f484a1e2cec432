import Foundation
import MirrorModel
import TestSupport
import Testing

/// One behaviour of the upload schedule as data: a tiny text file of settings, events and expectations.
///
/// A line is `SECONDS WORD ARGUMENT…` or, for settings, `schedule NAME=VALUE…`. README.txt beside the scripts lists the
/// words.
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

  var name: String
  var settings: [String: String] = [:]
  var lines: [Line] = []

  var testDescription: String { name }

  init(_ text: ScriptText) throws {
    name = text.name
    for line in text.lines {
      if line.words[0] == "schedule" {
        for setting in line.words.dropFirst() {
          let pair = setting.split(separator: "=", maxSplits: 1).map(String.init)
          guard pair.count == 2 else { throw text.malformed(line) }
          settings[pair[0]] = pair[1]
        }
      } else {
        guard let time = Double(line.words[0]), line.words.count > 1 else { throw text.malformed(line) }
        lines.append(
          Line(
            number: line.number, time: time, word: line.words[1], arguments: Array(line.words.dropFirst(2)),
            expected: line.expected))
      }
    }
  }

  /// Every script of the resources, by name.
  static let all: [EventScript] = ScriptText.all(
    in: Bundle.module.bundleURL.appendingPathComponent("EventScripts"), as: EventScript.init)
}

extension WatchEvent {
  /// The event that a script's word names, or nil when the word is no event.
  init?(_ line: EventScript.Line) {
    let paths = line.arguments.map { RelativePath($0 == "." ? "" : $0) }
    switch (line.word, paths.count) {
    case ("created", 1): self = .created(paths[0])
    case ("linked", 1): self = .linked(paths[0])
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
