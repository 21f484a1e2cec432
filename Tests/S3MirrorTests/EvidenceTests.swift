import Glibc
import SystemPackage
import TestSupport
import Testing

@testable import LocalTree
@testable import S3Mirror

/// What a run leaves behind for the next one.
@Suite struct EvidenceTests {
  private func sync(_ stage: Stage) -> MirrorSpec {
    .sync(stage.url("run"), local: stage.local("tree"), interval: nil, delete: false)
  }

  @Test(.promise("DOWN-10"))
  func `a resumed run does not fetch back what was deleted here`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["run": sync(stage)]) { mirror async throws in
        for name in ["step-1", "step-2"] { try stage.directory.write("tree/" + name, name) }
        try await mirror.flush("run")
        // Rotated, as training programs do; deletes are off.
        try stage.directory.remove("tree/step-1")
      }
      #expect(try await stage.keys() == ["run/step-1", "run/step-2"])
      try await stage.mirror(["run": sync(stage)]) { _ async throws in
        #expect(!stage.directory.exists("tree/step-1"))
        #expect(stage.directory.exists("tree/step-2"))
      }
      let notices = stage.events.all.compactMap { if case .notice(let text) = $0 { text } else { nil } }
      #expect(notices.contains { $0.contains("1 objects are not fetched") })
    }
  }

  @Test func `what a resumed run fetched and the program deleted is not fetched again`() async throws {
    try await Stage.play { stage async throws in
      for name in ["run/step-1", "run/step-2"] { try await stage.put(name, name) }
      try await stage.mirror(["run": sync(stage)]) { _ async throws in
        try stage.directory.remove("tree/step-1")
      }
      try await stage.mirror(["run": sync(stage)]) { _ async throws in
        #expect(!stage.directory.exists("tree/step-1"))
      }
    }
  }

  @Test(.promise("DOWN-10"))
  func `an object that was written since is fetched`() async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["run": sync(stage)]) { mirror async throws in
        for name in ["step-1", "step-2"] { try stage.directory.write("tree/" + name, name) }
        try await mirror.flush("run")
        try stage.directory.remove("tree/step-1")
      }
      try await stage.put("run/step-1", "from elsewhere")
      try await stage.mirror(["run": sync(stage)]) { _ async throws in
        #expect(try stage.directory.text("tree/step-1") == "from elsewhere")
      }
    }
  }

  /// A lost disk, a new machine's directory, or a tree that was emptied on purpose: everything is wanted back.
  @Test(.promise("DOWN-10"), arguments: [true, false])
  func `a root that is new or empty is fetched whole`(isRemade: Bool) async throws {
    try await Stage.play { stage async throws in
      try await stage.mirror(["run": sync(stage)]) { _ async throws in
        for name in ["step-1", "step-2"] { try stage.directory.write("tree/" + name, name) }
      }
      for name in ["step-1", "step-2"] { try stage.directory.remove("tree/" + name) }
      if isRemade {
        try #require(rename(stage.local("tree"), stage.local("old")) == 0)
        try stage.directory.write("tree/step-2", "step-2")
      }
      try await stage.mirror(["run": sync(stage)]) { _ async throws in
        #expect(try stage.directory.text("tree/step-1") == "step-1")
      }
    }
  }
}
