//! A person with a browser, as far as HTTP goes: follows no redirect by itself, and keeps cookies.

use std::{collections::BTreeMap, sync::Mutex};

use reqwest::{Client, RequestBuilder, Response, header, redirect::Policy};
use url::Url;

pub struct Person {
    http: Client,
    cookies: Mutex<BTreeMap<String, String>>,
}

/// A client that follows nothing.
pub fn http() -> Client {
    // Another test may have chosen it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(Policy::none()).build().unwrap()
}

impl Person {
    pub fn new() -> Self {
        Self { http: http(), cookies: Mutex::default() }
    }

    async fn send(&self, request: RequestBuilder) -> Response {
        let cookies: Vec<_> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request =
            if cookies.is_empty() { request } else { request.header(header::COOKIE, cookies.join("; ")) };
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
        }
        response
    }

    /// Opens an address: status and page.
    pub async fn open(&self, url: &str) -> (u16, String) {
        let response = self.send(self.http.get(url)).await;
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Opens a link and presses its button.
    pub async fn begin(&self, link: &str) -> Response {
        let (status, page) = self.open(link).await;
        assert_eq!(status, 200, "{page}");
        self.begin_unseen(link).await
    }

    /// Presses the button of a link's page without having opened it.
    pub async fn begin_unseen(&self, link: &str) -> Response {
        let url: Url = link.parse().unwrap();
        let secret = url.query_pairs().find(|(key, _)| key == "link").unwrap().1.into_owned();
        let mut action = url.clone();
        action.set_query(None);
        self.send(self.http.post(action).form(&[("link", secret)])).await
    }

    /// The same, when it leads to Google.
    pub async fn press(&self, link: &str) -> String {
        let response = self.begin(link).await;
        assert_eq!(response.status().as_u16(), 303);
        location(&response)
    }

    /// Decides at Google. Where it leads back to.
    pub async fn decide(&self, google: &str, form: &[(&str, &str)]) -> String {
        let response = self.http.post(google).form(form).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 302, "{}", response.text().await.unwrap());
        location(&response)
    }

    /// Allows these scopes.
    pub async fn allow(&self, google: &str, account: &str, scopes: &[&str]) -> String {
        let mut form = vec![("account", account), ("decision", "allow")];
        form.extend(scopes.iter().map(|scope| ("scope", *scope)));
        self.decide(google, &form).await
    }
}

fn location(response: &Response) -> String {
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

/// A parameter of an address.
pub fn parameter(url: &str, name: &str) -> String {
    let url: Url = url.parse().unwrap();
    url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned()
}

/// The same address with another value of a parameter.
pub fn with_parameter(url: &str, name: &str, value: &str) -> String {
    let mut url: Url = url.parse().unwrap();
    let pairs: Vec<_> = url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    url.query_pairs_mut().clear().extend_pairs(pairs).append_pair(name, value);
    url.into()
}
