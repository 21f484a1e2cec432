import Foundation
import MirrorModel
import TransferLog

@testable import S3Mirror

/// Holds every version that the bucket ever had against the transfer log and against what the writers did.
struct SoakOracle {
  /// Nil if no journal records what writers did to names.
  let history: NameHistory?
  private let prefix: String
  /// What the transfer log says of each version under a key.
  private let proofs: [Version: Set<String>]

  private struct Version: Hashable {
    var key: [UInt8]
    var etag: String

    init(_ key: String, _ etag: String) {
      self.key = Array(key.utf8)
      self.etag = etag
    }
  }

  init(records: [TransferRecord], prefix: String, history: NameHistory?) {
    self.prefix = prefix
    self.history = history
    var proofs: [Version: Set<String>] = [:]
    for record in records where record.operation == .upload {
      guard let path = record.path, let etag = record.etag, let proof = record.proof else { continue }
      proofs[Version(prefix + path, etag), default: []].insert(proof)
    }
    self.proofs = proofs
  }

  struct Findings {
    /// Stored, and neither does a record tell by which proof, nor is it a copy of a version of which one does.
    var unproved: [String] = []
    /// Versions in the middle of a change that went out under a proof that says "at rest".
    var wronglyProved: [String] = []
    /// What no file of that name ever held.
    var misplaced: [String] = []
    var copies = 0
  }

  /// - Parameter sightings: in the order in which they were made.
  func judge(_ sightings: [WitnessStore.Sighting]) -> Findings {
    var findings = Findings()
    var known = proofs
    for sighting in sightings {
      let version = Version(sighting.key, sighting.etag)
      if let source = sighting.source {
        findings.copies += 1
        let inherited = source.etag.flatMap { known[Version(source.key, $0)] } ?? []
        known[version, default: []].formUnion(inherited)
      }
      let proofs = known[version, default: []]
      if proofs.isEmpty, !sighting.isAnswerLost {
        findings.unproved.append("\(sighting)")
      }
      guard let verdict = sighting.verdict else { continue }
      if !verdict.isAtRest {
        for proof in proofs where proof != PublicationProof.reread.rawValue {
          findings.wronglyProved.append("\(sighting.key): \(verdict), \(proof)")
        }
      }
      if let objection = history?.objection(
        to: verdict, at: "tree/" + sighting.key.dropFirst(prefix.count), until: sighting.nanoseconds)
      {
        findings.misplaced.append("\(sighting.key) held \(verdict): \(objection)")
      }
    }
    return findings
  }

  /// Notices of drift that Semantics.md does not allow.
  func unexplained(_ notices: [String]) -> [String] {
    notices.filter { notice in
      // At most three are named; of others nothing is known.
      guard let history, !notice.contains("…"), !paths(in: notice).isEmpty else { return true }
      return !paths(in: notice).allSatisfy { history.wasWrittenUnseen(fileAt: "tree/" + $0) }
    }
  }

  /// The paths that a notice of drift names.
  func paths(in notice: String) -> [String] {
    let words = ConditionNotices.missedChange
    guard let start = notice.range(of: words.before), let end = notice.range(of: words.after) else {
      return []
    }
    return notice[start.upperBound..<end.lowerBound].split(separator: ", ").map(String.init)
  }

  /// Where the replay of the writers' records and the tree at the end are two things: then it proves nothing.
  func doubts(about picture: TreePicture) -> [String] {
    guard let history else { return [] }
    var doubts = history.contradictions
    let replayed = history.files(below: "tree")
    for (path, bytes) in picture.files {
      guard let version = replayed[Array(path.string.utf8)] else {
        doubts.append("\(path) is unknown")
        continue
      }
      guard MarkerReader.isSelfDescribing(path.string) else { continue }
      let verdict = SelfDescribingContent.verdict(on: bytes)
      if verdict != version.map({ .whole($0) }) ?? .empty {
        doubts.append("\(path) holds \(verdict), not \(String(describing: version))")
      }
    }
    let present = Set(picture.files.keys.map { Array($0.string.utf8) })
    doubts += replayed.keys.filter { !present.contains($0) }.map {
      "\(String(decoding: $0, as: UTF8.self)) is not there"
    }
    return doubts
  }
}
