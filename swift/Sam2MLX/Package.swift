// swift-tools-version: 6.0
import PackageDescription

// A bundle is read by the minor version of MLX that wrote it, so mlx-swift is pinned exactly; its release
// notes say which MLX it has.
let package = Package(
    name: "Sam2MLX",
    platforms: [.macOS(.v14), .iOS(.v17)],
    products: [.library(name: "Sam2MLX", targets: ["Sam2MLX"])],
    dependencies: [
        .package(name: "sam2-mlx", path: "../.."),
        .package(url: "https://github.com/ml-explore/mlx-swift", exact: "0.32.2"),
    ],
    targets: [
        .target(
            name: "Sam2MLX",
            dependencies: [
                .product(name: "Sam2Native", package: "sam2-mlx"),
                .product(name: "MLX", package: "mlx-swift"),
            ],
            path: "Sources")
    ]
)
