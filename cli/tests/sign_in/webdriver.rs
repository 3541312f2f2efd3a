//! As much of the `WebDriver` protocol as the tests need: <https://www.w3.org/TR/webdriver2/>.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    person::http,
    process::{LIMIT, free},
};

/// How an element is called in answers: section 12.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A headless Chromium with a profile of its own.
pub struct Browser {
    driver: Child,
    http: Client,
    /// The driver's address.
    base: String,
    session: String,
    profile_folder: TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let port = free().await.port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("there is no chromedriver: `scripts/setup.sh chromium` installs it");
        let profile = TempDir::new().unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let mut browser = Self {
            driver,
            http: http(),
            base: base.clone(),
            session: String::new(),
            profile_folder: profile,
        };
        let began = Instant::now();
        while browser.http.get(format!("{base}/status")).send().await.is_err() {
            assert!(began.elapsed() < LIMIT, "chromedriver does not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let profile = format!("--user-data-dir={}", browser.profile_folder.path().display());
        let options = json!({"args": [
            "--headless=new",
            // Root has no sandbox, and containers have little shared memory.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--window-size=960,900",
            profile,
        ]});
        let wanted = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}});
        let answer = browser.http.post(format!("{base}/session")).json(&wanted).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no session: {answer}"));
        browser.session = format!("{base}/session/{id}");
        browser
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.http.request(method, format!("{}{path}", self.session)).timeout(LIMIT);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let is_good = response.status().is_success();
        let mut answer: Value = response.json().await.unwrap();
        assert!(is_good, "{path}: {answer}");
        answer["value"].take()
    }

    /// Opens an address, and waits for its page.
    pub async fn open(&self, url: &str) {
        self.ask(Method::POST, "/url", Some(json!({ "url": url }))).await;
    }

    async fn element(&self, css: &str) -> String {
        let by = json!({"using": "css selector", "value": css});
        let element = self.ask(Method::POST, "/element", Some(by)).await;
        element[ELEMENT].as_str().unwrap().to_owned()
    }

    /// Clicks on an element. What it leads to is waited for by whoever looks at it: section 10.2.
    pub async fn click(&self, css: &str) {
        let element = self.element(css).await;
        self.ask(Method::POST, &format!("/element/{element}/click"), Some(json!({}))).await;
    }

    /// The text of an element, as it is seen.
    pub async fn text(&self, css: &str) -> String {
        let element = self.element(css).await;
        self.ask(Method::GET, &format!("/element/{element}/text"), None).await.as_str().unwrap().to_owned()
    }

    /// Waits until the page's heading is this.
    pub async fn shows(&self, heading: &str) {
        let began = Instant::now();
        loop {
            // Between two pages there is none.
            let page = self.script("return [document.querySelector('h1')?.innerText, document.URL, document.body?.innerText]").await;
            if page[0] == heading {
                return;
            }
            assert!(began.elapsed() < LIMIT, "{heading:?} is not shown, but {page}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A value that a script returns.
    pub async fn script(&self, script: &str) -> Value {
        self.ask(Method::POST, "/execute/sync", Some(json!({"script": script, "args": []}))).await
    }

    /// Keeps a picture of the page, for people who want to look: in the target folder, under `tmp/sign_in`.
    pub async fn picture(&self, name: &str) {
        let picture = self.ask(Method::GET, "/screenshot", None).await;
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sign_in");
        fs::create_dir_all(&folder).unwrap();
        let bytes = STANDARD.decode(picture.as_str().unwrap()).unwrap();
        fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    /// The same as [`Self::quit`], for whoever cannot wait asynchronously.
    fn end(&self) -> std::io::Result<()> {
        let path = self.session.strip_prefix(&self.base).unwrap_or_default();
        let mut stream = TcpStream::connect(self.base.trim_start_matches("http://"))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "DELETE {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }

    pub async fn quit(mut self) {
        self.ask(Method::DELETE, "", None).await;
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // After a failed test: only the driver knows how to end its browser.
        if let Ok(None) = self.driver.try_wait() {
            let _ = self.end();
            let _ = self.driver.kill();
            let _ = self.driver.wait();
        }
    }
}
