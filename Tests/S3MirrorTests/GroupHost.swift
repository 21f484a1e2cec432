import MirrorModel
import TestSupport

@testable import S3Mirror

/// One host of a job: a directory, and a mirror that acts for a member of the group `job`.
struct GroupHost {
  var member: Int
  var stage: Stage
  var scope: MirrorScope
  /// What lies below the stage's directory.
  var tree: String

  /// - Parameter kind: `.sync` fetches what is on S3 first.
  init(
    entering member: Int, of count: Int = 2, on stage: Stage, tree: String? = nil, delete: Bool = true,
    _ change: @escaping @Sendable (inout Options.Group) -> Void = { _ in }
  ) async throws {
    let tree = tree ?? "host\(member)"
    try stage.directory.makeDirectory(tree)
    try stage.directory.makeDirectory("\(tree)-XDG_RUNTIME_DIR")
    let scope = try stage.scope { options in
      // Each host has folders of its own.
      for variable in ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        options.environment?[variable] = stage.local("\(tree)-\(variable)")
      }
      options.group = Self.group(member, of: count, change)
    }
    let spec = MirrorSpec.upload(
      stage.url("out"), local: stage.local(tree), interval: nil, delete: delete)
    do {
      try await scope.enter([(name: "out", spec: spec)])
    } catch {
      _ = await scope.exit(.threw)
      throw error
    }
    (self.member, self.stage, self.scope, self.tree) = (member, stage, scope, tree)
  }

  static func group(
    _ member: Int, of count: Int = 2, _ change: (inout Options.Group) -> Void = { _ in }
  ) -> Options.Group {
    var group = Options.Group(name: "job", member: member, members: count)
    group.pace.watch = .milliseconds(20)
    group.pace.rest = .milliseconds(20)
    group.takeover = .zero
    group.timeout = .seconds(120)
    change(&group)
    return group
  }

  func write(_ path: String, _ text: String) throws { try stage.directory.write("\(tree)/\(path)", text) }

  func writeShard(_ step: String, _ text: String = "shard") throws {
    try write("\(step)/__\(member)_0.distcp", "\(text) \(member)")
  }

  func flush() async throws { _ = try await scope.flush(nil) }

  func exit(_ end: MirrorScope.BodyEnd = .returned) async -> MirrorReport.Upload? {
    await scope.exit(end).uploads.first
  }

  /// The receipt of what this host wrote of a checkpoint; nil if there is none.
  func receipt(of unit: RelativePath) async throws -> UnitReceipt? {
    let part = UnitPart(place: GroupPlace(group: "job", count: 2), member: member)
    let key = "out/" + part.receipt(of: unit).string
    guard try await stage.keys().contains(key) else { return nil }
    return try UnitReceipt(json: Array(try await stage.text(key).utf8))
  }
}
